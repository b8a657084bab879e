// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzzer of runtimes/nodejs/zip.js: fuzz-zip.js SECONDS FOUND CORPUS. There is no libFuzzer for JavaScript in Debian, so this one changes inputs at
 * random and keeps those that lead to an outcome not seen before (what was made, or which sentence refused it).
 *
 * Whatever the bytes are: an archive is unpacked, or refused with a sentence; a refusal is one that zip.js means (BadZip, or the file system's), not a
 * slip of its own; nothing appears or is tried outside of the folder, and nothing in it is other than a file or a folder. A reader that breaks
 * this must not break the machine: as root, all of it runs with the rights of nobody.
 * With 0 seconds only the corpus is run. What breaks a rule stays in FOUND.
 */
'use strict';

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { BadZip, unzip } = require('../../runtimes/nodejs/zip.js');

const PREFIX = 'There was an error uncompressing the action archive: ';
const MOST = 64 << 10, KEEP = 4096, NOBODY = 65534;
const NUMBERS = [0, 1, 8, 9, 21, 22, 0x7f, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xfffffffe, 0xffffffff];
const WORDS = ['../', '/', '\0', 'PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06'].map(word => Buffer.from(word, 'latin1'));
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-zip-'));
const folder = path.join(top, 'action');

const pick = list => list[crypto.randomInt(list.length)];

function mutate(input, corpus) {
	const data = Buffer.from(input), at = crypto.randomInt(data.length);

	switch (crypto.randomInt(7)) {
	case 0:
		data[at] ^= 1 << crypto.randomInt(8);
		return data;
	case 1:
		data[at] = crypto.randomInt(256);
		return data;
	case 2:
		if (at + 4 <= data.length)
			data.writeUInt32LE(pick(NUMBERS), at);
		return data;
	case 3:
		if (at + 2 <= data.length)
			data.writeUInt16LE(pick(NUMBERS) & 0xffff, at);
		return data;
	case 4:
		return data.subarray(0, at + 1);
	case 5:
		pick(WORDS).copy(data, at);
		return data;
	default: {
		const other = pick(corpus);

		return Buffer.concat([data.subarray(0, at), other.subarray(crypto.randomInt(other.length))]).subarray(0, MOST);
	}
	}
}

/* Gives up what root may do with files; takeRights() is for keeping what was found. */
function dropRights() {
	if (process.getuid() !== 0)
		return;
	fs.chownSync(top, NOBODY, NOBODY);
	process.setgroups([]);
	process.setegid(NOBODY);
	process.seteuid(NOBODY);
}

function takeRights() {
	if (process.getuid() !== 0)
		return;
	process.seteuid(0);
	process.setegid(0);
}

/* Everything below a folder: names and kinds. */
function census(at) {
	return fs.readdirSync(at, { withFileTypes: true }).flatMap(entry => {
		assert(entry.isFile() || entry.isDirectory(), `${entry.name} is neither file nor folder`);
		return entry.isFile() ? ['f'] : ['d', ...census(path.join(at, entry.name))];
	});
}

/* Returns what came of it, without what only the input's bytes say. */
function run(input) {
	let outcome = 'unpacked';

	fs.rmSync(folder, { recursive: true, force: true });
	fs.mkdirSync(folder);
	try {
		unzip(input, folder);
	} catch (error) {
		assert(error.message.startsWith(PREFIX), error.stack);
		assert(error.cause instanceof BadZip || String(error.cause.path).startsWith(folder), error.cause.stack);
		outcome = error.cause instanceof BadZip ? error.cause.message.slice(-24) : error.cause.code;
	}
	assert.deepStrictEqual(fs.readdirSync(top), ['action']);
	return outcome + census(folder).join('').slice(0, 16);
}

function main(seconds, found, folders) {
	const corpus = folders.flatMap(from => fs.readdirSync(from).map(name => fs.readFileSync(path.join(from, name)))), seen = new Set();
	const end = Date.now() + seconds * 1000;
	let input, runs = 0;

	assert(corpus.length > 0, 'the corpus is empty');
	dropRights();
	try {
		for (input of corpus)
			seen.add(run(input));
		for (; Date.now() < end; runs++) {
			input = pick(corpus);
			for (let n = 1 + crypto.randomInt(4); n > 0; n--)
				input = mutate(input, corpus);
			const outcome = run(input);

			if (!seen.has(outcome) && corpus.length < KEEP)
				corpus.push(input);
			seen.add(outcome);
		}
	} catch (error) {
		const kept = path.join(found, 'fuzz-zip-' + crypto.createHash('sha1').update(input).digest('hex'));

		takeRights();
		fs.writeFileSync(kept, input);
		console.log(`ERROR: ${kept}: ${error.stack}`);
		process.exitCode = 1;
	} finally {
		fs.rmSync(top, { recursive: true, force: true });
	}
	console.log(`Done ${runs} runs, ${seen.size} outcomes`);
}

main(Number(process.argv[2]), process.argv[3], process.argv.slice(4));
