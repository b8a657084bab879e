// SPDX-License-Identifier: Apache-2.0
'use strict';

const { mark } = require('./lib/mark');

exports.plain = args => {
	console.log('plain was called');
	return { text: mark(`${args.greeting}, ${args.name}`) };
};
