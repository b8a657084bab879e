// SPDX-License-Identifier: Apache-2.0
/*
 * Zip archives of actions, as APPNOTE.TXT 6.3 has them without zip64, encryption and archives in several parts. Bytes come from whoever made the
 * action: every offset is checked, nothing is written outside of the folder, and only files and folders are made. (tests/fuzz/fuzz-zip.js)
 */
'use strict';

const fs = require('fs');
const path = require('path');
const zlib = require('zlib');

const END = 0x06054b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50;
const END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30;
const STORED = 0, DEFLATED = 8, ENCRYPTED = 1, ZIP64 = 0xffffffff;
const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000;

class BadZip extends Error {}

/* Checks that there is a record of this kind and size, and returns where it is. */
function record(zip, at, kind, size) {
	if (at + size > zip.length || zip.readUInt32LE(at) !== kind)
		throw new BadZip('it is damaged or cut short');
	return at;
}

function findEnd(zip) {
	for (let at = zip.length - END_SIZE; at >= 0; at--)
		if (zip.readUInt32LE(at) === END)
			return at;
	throw new BadZip('it has no end of central directory');
}

function contents(zip, entry, name) {
	const method = zip.readUInt16LE(entry + 10), crc = zip.readUInt32LE(entry + 16), packed = zip.readUInt32LE(entry + 20);
	const size = zip.readUInt32LE(entry + 24), local = record(zip, zip.readUInt32LE(entry + 42), LOCAL, LOCAL_SIZE);
	const start = local + LOCAL_SIZE + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
	let data = zip.subarray(start, start + packed);

	if (zip.readUInt16LE(entry + 8) & ENCRYPTED)
		throw new BadZip(`${name} is encrypted`);
	if (packed === ZIP64 || size === ZIP64)
		throw new BadZip(`${name} has 4 GiB or more`);
	if (method !== STORED && method !== DEFLATED)
		throw new BadZip(`${name} is packed in an unknown way`);
	if (data.length !== packed)
		throw new BadZip(`${name} is cut short`);
	if (method === DEFLATED) {
		try {
			data = zlib.inflateRawSync(data, { maxOutputLength: Math.max(size, 1) });
		} catch (error) {
			throw new BadZip(`${name} cannot be unpacked (${error.code})`);
		}
	}
	if (data.length !== size || (zlib.crc32 && zlib.crc32(data) !== crc))
		throw new BadZip(`${name} is damaged`);
	return data;
}

/* The members from the central directory: {name, mode, data()}. */
function* members(zip) {
	const end = findEnd(zip);
	let at = zip.readUInt32LE(end + 16);

	for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
		const entry = record(zip, at, ENTRY, ENTRY_SIZE), next = entry + ENTRY_SIZE + zip.readUInt16LE(entry + 28);
		const name = zip.toString('utf8', entry + ENTRY_SIZE, next);

		yield { name, mode: zip.readUInt32LE(entry + 38) >>> 16, data: () => contents(zip, entry, name) };
		at = next + zip.readUInt16LE(entry + 30) + zip.readUInt16LE(entry + 32);
	}
}

function extract(member, folder) {
	const target = path.resolve(folder, member.name), type = member.mode & S_IFMT;

	if (member.name.includes('\0'))
		throw new BadZip('a name has a zero byte');
	if (target !== folder && !target.startsWith(folder + '/'))
		throw new BadZip(`${member.name} leads out of it`);
	if (member.name.endsWith('/')) {
		fs.mkdirSync(target, { recursive: true });
		return;
	}
	if (type && type !== S_IFREG && type !== S_IFDIR)
		throw new BadZip(`${member.name} is neither file nor folder`);
	fs.mkdirSync(path.dirname(target), { recursive: true });
	fs.writeFileSync(target, member.data(), { mode: (member.mode & 0o777) || 0o644 });
}

/* Unpacks into an existing folder, given without a slash at its end. Throws an Error with a sentence for the log. */
function unzip(zip, folder) {
	try {
		for (const member of members(zip))
			extract(member, folder);
	} catch (error) {
		throw new Error(`There was an error uncompressing the action archive: ${error.message}`, { cause: error });
	}
}

module.exports = { BadZip, unzip };
