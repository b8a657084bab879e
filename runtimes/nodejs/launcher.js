// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime of kind nodejs:20: OpenWhisk's node proxy behaviour over the ActionLoop contract with the agent.
 *
 * Started before there is any code: says {"ok":true} on descriptor 3 when it is up. The first line on standard input is OpenWhisk's /init body,
 * each further one a /run body; each is answered by one line of JSON on descriptor 3. A line that begins with "!" says that the function broke
 * rather than failed (a synchronous throw, a result that is no object): the agent makes a developer error of it. Standard output and standard
 * error are the function's logs. A /run body with a number in front need not wait for those before it; its answer has the number in front, too.
 */
'use strict';

const fs = require('fs');
const Module = require('module');
const net = require('net');
const path = require('path');
const vm = require('vm');

const ACTION = '/action';
const RESULT_FD = 3;
const NAME = /^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*$/;

/* Writes one line to descriptor 3, whatever its size. */
function answer(text) {
	const data = Buffer.from(text + '\n');

	for (let sent = 0; sent < data.length;)
		sent += fs.writeSync(RESULT_FD, data, sent);
}

function setEnvironment(pairs) {
	for (const [key, value] of Object.entries(pairs))
		process.env[key] = typeof value === 'string' ? value : JSON.stringify(value);
}

function unpack(code, folder) {
	const data = Buffer.from(code, 'base64');

	if (data.length > 22 && data.readUInt32LE(0) === 0x04034b50)
		require('./zip.js').unzip(data, folder);
	else if (data[0] === 0x1f && data[1] === 0x8b)
		require('child_process').execFileSync('tar', ['-xz', '--no-same-owner', '-C', folder], { input: data, stdio: ['pipe', 'ignore', 'inherit'] });
	else
		throw new Error('Unsupported archive: it must be zip or tar.gz');
}

/* "func", or "file.func" of an archive: what to require, and the function in it. */
function splitMain(main) {
	const dot = main.indexOf('.');

	return dot < 0 ? ['.', main] : [`./${main.slice(0, dot)}`, main.slice(dot + 1)];
}

function member(object, name) {
	return name.split('.').reduce((at, key) => at === undefined || at === null ? undefined : at[key], object);
}

function loadArchive(code, main) {
	const [file, name] = splitMain(main);

	unpack(code, ACTION);
	process.chdir(ACTION);
	if (file === '.' && !fs.existsSync('package.json') && !fs.existsSync('index.js'))
		throw new Error('Zipped actions must contain either package.json or index.js at the root.');
	return member(Module.createRequire(ACTION + '/')(file), name);
}

/* Plain source: a function's body that has, or exports, the entry. */
function loadSource(code, main) {
	const holder = { exports: {} };
	const find = `\n;try { return typeof (${main}) === 'function' ? ${main} : undefined; } catch (_) { return undefined; }`;
	const body = vm.compileFunction(code + find, ['exports', 'require', 'module', '__filename', '__dirname'], { filename: ACTION + '/exec.js' });
	const found = body.call(holder.exports, holder.exports, Module.createRequire(ACTION + '/'), holder, ACTION + '/exec.js', ACTION);

	return found || member(holder.exports, main);
}

function init(value) {
	const main = value.main || 'main';

	if (!value.code)
		return { error: 'Missing main/no code to execute.' };
	setEnvironment(value.env || {});
	try {
		if (!NAME.test(main))
			throw new Error(`Action entrypoint '${main}' is not a function.`);
		const entry = value.binary ? loadArchive(value.code, main) : loadSource(value.code, main);
		if (typeof entry !== 'function')
			throw new Error(`Action entrypoint '${main}' is not a function.`);
		return { entry };
	} catch (error) {
		console.error('Error during initialization:', error);
		return { error: `Initialization has failed due to: ${error && error.stack ? String(error) : error}` };
	}
}

/* An Error has no properties of its own to be shown; the package that OpenWhisk's image has does it the same way. */
function serialize(error) {
	if (error === undefined)
		return {};
	if (!(error instanceof Error))
		return error;
	const plain = { name: error.name, message: error.message, stack: error.stack };

	for (const [key, value] of Object.entries(error))
		if (typeof value !== 'function')
			plain[key] = value;
	return plain;
}

function encode(value) {
	try {
		return JSON.stringify(value);
	} catch (error) {
		return JSON.stringify({ error: `The result cannot be made JSON: ${error.message}` });
	}
}

/* The line that tells how it went. */
async function run(entry, request) {
	let pending, result;

	for (const [key, value] of Object.entries(request))
		if (key !== 'value' && typeof value === 'string')
			process.env[`__OW_${key.toUpperCase()}`] = value;
	try {
		pending = entry(request.value || {});
	} catch (error) {
		console.error(error);
		return '!' + encode({ error: `An error has occurred: ${error}` });
	}
	try {
		result = await pending;
	} catch (error) {
		return encode({ error: serialize(error) });
	}
	if (result === undefined)
		result = {};
	if (typeof result !== 'object')
		return '!' + encode({ error: 'The action did not return a dictionary.' });
	return encode(result);
}

/* "NUMBER {...}" */
function serveNumbered(line, entry) {
	const space = line.indexOf(' '), number = line.slice(0, space);

	run(entry, JSON.parse(line.slice(space + 1))).then((text) => answer(`${number} ${text}`));
}

async function serve(line, state) {
	if (state.entry && line[0] !== '{') {
		serveNumbered(line, state.entry);
		return;
	}
	const request = JSON.parse(line);

	if (state.entry) {
		answer(await run(state.entry, request));
		return;
	}
	const made = init(request.value);
	state.entry = made.entry;
	answer(encode(made.error === undefined ? { ok: true } : { error: made.error }));
}

/* Lines of standard input, one after the other; a line may be as long as a function's code. */
async function main() {
	const state = {};
	const input = fs.openSync('/proc/self/fd/0', 'r');
	let chunks = [];

	/* A function that reads its standard input must not take our requests: the lowest free descriptor is 0 again. */
	fs.closeSync(0);
	fs.openSync('/dev/null', 'r');
	answer('{"ok":true}');
	/* A socket, because a file's read sits in a thread that process.exit() would wait for. */
	for await (let data of new net.Socket({ fd: input, readable: true, writable: false })) {
		for (let end; (end = data.indexOf(10)) >= 0; data = data.subarray(end + 1)) {
			chunks.push(data.subarray(0, end));
			await serve(Buffer.concat(chunks).toString(), state);
			chunks = [];
		}
		chunks.push(data);
	}
	process.exit(0);
}

/* Packages of the platform, behind a function's own. */
process.env.NODE_PATH = path.join(__dirname, 'node_modules');
Module._initPaths();
delete process.env.NODE_PATH;
main();
