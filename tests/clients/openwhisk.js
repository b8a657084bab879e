// SPDX-License-Identifier: Apache-2.0
/*
 * The published npm package `openwhisk` against our daemon: every resource, in the ways its README shows. Prints TAP. The address and key
 * come as that package takes them: __OW_API_HOST and __OW_API_KEY.
 */
'use strict';

const assert = require('assert');
const path = require('path');
const openwhisk = require(path.join(process.env.CLIENT_MODULES, 'openwhisk'));

const host = process.env.__OW_API_HOST;
const ow = openwhisk({ apihost: host, api_key: process.env.__OW_API_KEY });

const ECHO = 'function main(args) { console.log("called"); return args; }';

async function refused(promise, status) {
	const error = await promise.then(() => null, e => e);

	assert.ok(error, `expected status ${status}, it went through`);
	assert.strictEqual(error.statusCode, status, error.message);
	return error;
}

/* Records come after their calls. */
async function eventually(ask) {
	for (let i = 0; i < 400; i++) {
		try {
			const answer = await ask();

			if (answer)
				return answer;
		} catch (error) {
			if (error.statusCode !== 404)
				throw error;
		}
		await new Promise(resolve => setTimeout(resolve, 50));
	}
	throw new Error('it never came');
}

const tests = {
	async 'actions: create, list, get, update, delete'() {
		const made = await ow.actions.create({ name: 'c1', action: ECHO, kind: 'nodejs:20', params: { p: 1 }, annotations: { note: 'n' },
			limits: { timeout: 30000, memory: 128 } });

		assert.deepStrictEqual([made.name, made.namespace, made.version, made.exec.kind], ['c1', 'guest', '0.0.1', 'nodejs:20']);
		assert.deepStrictEqual(made.parameters, [{ key: 'p', value: 1 }]);
		assert.strictEqual(made.limits.timeout, 30000);
		assert.ok(made.annotations.some(a => a.key === 'note' && a.value === 'n'));
		await refused(ow.actions.create({ name: 'c1', action: ECHO, kind: 'nodejs:20' }), 409);
		const list = await ow.actions.list({ limit: 200 });
		assert.ok(list.some(a => a.name === 'c1' && a.exec.binary === false));
		assert.strictEqual((await ow.actions.list({ count: true })).actions, list.length);
		assert.strictEqual((await ow.actions.list({ skip: list.length })).length, 0);
		assert.strictEqual((await ow.actions.get('c1')).exec.code, ECHO);
		assert.strictEqual((await ow.actions.get({ name: 'c1', code: false })).exec.code, undefined);
		const changed = await ow.actions.update({ name: 'c1', action: ECHO + '\n', kind: 'nodejs:default' });
		assert.deepStrictEqual([changed.version, changed.exec.kind], ['0.0.2', 'nodejs:20']);
		assert.strictEqual((await ow.actions.delete('c1')).name, 'c1');
		await refused(ow.actions.get('c1'), 404);
		await refused(ow.actions.delete('c1'), 404);
	},

	async 'actions: invoke, every way'() {
		await ow.actions.update({ name: 'c2', action: ECHO, kind: 'nodejs:20', params: { d: 'default' } });
		const record = await ow.actions.invoke({ name: 'c2', blocking: true, params: { a: [1] } });
		assert.deepStrictEqual(record.response.result, { a: [1], d: 'default' });
		assert.strictEqual(record.response.success, true);
		assert.deepStrictEqual(await ow.actions.invoke({ name: 'c2', blocking: true, result: true, params: { a: 2 } }), { a: 2, d: 'default' });
		assert.deepStrictEqual((await ow.actions.invoke({ name: '/guest/c2', blocking: true })).response.result, { d: 'default' });
		const { activationId } = await ow.actions.invoke({ name: 'c2' });
		assert.match(activationId, /^[0-9a-f]{32}$/);
		assert.strictEqual((await eventually(() => ow.activations.get(activationId))).response.result.d, 'default');
		await refused(ow.actions.invoke('missing'), 404);
		await ow.actions.update({ name: 'c3', action: 'function main() { return { error: "mine" } }', kind: 'nodejs:20' });
		const error = await refused(ow.actions.invoke({ name: 'c3', blocking: true }), 502);
		assert.deepStrictEqual(error.error.response.result, { error: 'mine' });
		await ow.actions.update({ name: 'c4', action: 'function main() { throw new Error("broke") }', kind: 'nodejs:20' });
		const broke = await refused(ow.actions.invoke({ name: 'c4', blocking: true }), 502);
		assert.strictEqual(broke.error.response.status, 'action developer error');
		for (const name of ['c2', 'c3', 'c4'])
			await ow.actions.delete(name);
	},

	async 'activations: list, get, logs, result'() {
		await ow.actions.update({ name: 'c5', action: ECHO, kind: 'nodejs:20' });
		const { activationId } = await ow.actions.invoke({ name: 'c5', blocking: true, params: { x: 1 } });
		const record = await eventually(() => ow.activations.get(activationId));
		assert.deepStrictEqual([record.name, record.namespace, record.activationId], ['c5', 'guest', activationId]);
		assert.ok(record.annotations.some(a => a.key === 'path' && a.value === 'guest/c5'));
		const { logs } = await ow.activations.logs(activationId);
		assert.strictEqual(logs.length, 1);
		assert.match(logs[0], /^\d{4}-\d\d-\d\dT[\d:.]+Z +stdout: called$/);
		assert.deepStrictEqual((await ow.activations.result(activationId)).result, { x: 1 });
		const list = await ow.activations.list({ limit: 1, name: 'c5' });
		assert.deepStrictEqual(list.map(a => [a.activationId, a.statusCode]), [[activationId, 0]]);
		assert.strictEqual((await ow.activations.list({ since: record.start, upto: record.start, docs: true }))[0].response.success, true);
		await refused(ow.activations.get('0'.repeat(32)), 404);
		await refused(ow.activations.get('short'), 400);
		await ow.actions.delete('c5');
	},

	async 'packages: create, bind, list, get, update, delete'() {
		const made = await ow.packages.create({ name: 'p1', package: { parameters: [{ key: 'k', value: 'package' }], publish: false } });
		assert.deepStrictEqual([made.name, made.parameters], ['p1', [{ key: 'k', value: 'package' }]]);
		await ow.actions.create({ name: 'p1/a', action: ECHO, kind: 'nodejs:20' });
		await ow.packages.create({ name: 'p2', package: { binding: { namespace: 'guest', name: 'p1' }, parameters: [{ key: 'b', value: 'binding' }] } });
		assert.deepStrictEqual((await ow.packages.get('p2')).actions.map(a => a.name), ['a']);
		const record = await ow.actions.invoke({ name: 'p2/a', blocking: true });
		assert.deepStrictEqual(record.response.result, { k: 'package', b: 'binding' });
		assert.deepStrictEqual((await ow.packages.list()).map(p => p.name).sort(), ['p1', 'p2']);
		assert.strictEqual((await ow.packages.update({ name: 'p1', package: { publish: true } })).publish, true);
		await refused(ow.packages.delete('p1'), 409);
		await ow.packages.delete('p2');
		await ow.actions.delete('p1/a');
		await ow.packages.delete('p1');
		await refused(ow.packages.get('p1'), 404);
	},

	async 'triggers and rules: create, fire, enable, disable, delete'() {
		await ow.actions.update({ name: 'c6', action: ECHO, kind: 'nodejs:20' });
		const trigger = await ow.triggers.create({ name: 't1', trigger: { parameters: [{ key: 'from', value: 'trigger' }] } });
		assert.strictEqual(trigger.name, 't1');
		assert.deepStrictEqual((await ow.triggers.list()).map(t => t.name), ['t1']);
		const rule = await ow.rules.create({ name: 'r1', action: 'c6', trigger: 't1' });
		assert.deepStrictEqual([rule.status, rule.action.name, rule.trigger.name], ['active', 'c6', 't1']);
		assert.deepStrictEqual((await ow.rules.list()).map(r => r.name), ['r1']);
		const { activationId } = await ow.triggers.invoke({ name: 't1', params: { with: 'payload' } });
		const fired = await eventually(() => ow.activations.get(activationId));
		const told = JSON.parse(fired.logs[0]);
		assert.deepStrictEqual([told.rule, told.action, told.success], ['guest/r1', 'guest/c6', true]);
		const called = await eventually(() => ow.activations.get(told.activationId));
		assert.deepStrictEqual([called.response.result.from, called.response.result.with], ['trigger', 'payload']);
		await ow.rules.disable({ name: 'r1' });
		assert.strictEqual((await ow.rules.get({ name: 'r1' })).status, 'inactive');
		await ow.rules.enable({ name: 'r1' });
		assert.strictEqual((await ow.rules.get({ name: 'r1' })).status, 'active');
		assert.ok((await ow.triggers.get('t1')).rules['guest/r1']);
		await ow.triggers.update({ name: 't1', trigger: { parameters: [] } });
		await ow.rules.update({ name: 'r1', action: 'c6', trigger: 't1' });
		await ow.rules.delete({ name: 'r1' });
		await ow.triggers.delete('t1');
		await ow.actions.delete('c6');
		await refused(ow.triggers.get('t1'), 404);
		await refused(ow.rules.get({ name: 'r1' }), 404);
	},

	async 'sequences'() {
		await ow.actions.update({ name: 's1', action: 'function main(a) { return { n: (a.n || 0) + 1 } }', kind: 'nodejs:20' });
		const made = await ow.actions.create({ name: 's2', sequence: ['/guest/s1', '/_/s1', '/guest/s1'] });
		assert.deepStrictEqual(made.exec, { kind: 'sequence', components: ['/guest/s1', '/guest/s1', '/guest/s1'] });
		const record = await ow.actions.invoke({ name: 's2', blocking: true, params: { n: 10 } });
		assert.deepStrictEqual(record.response.result, { n: 13 });
		assert.strictEqual((await eventually(() => ow.activations.get(record.activationId))).logs.length, 3);
		await ow.actions.delete('s2');
		await ow.actions.delete('s1');
	},

	async 'feeds: an action that is told of a trigger\'s life'() {
		await ow.actions.update({ name: 'f1', action: ECHO, kind: 'nodejs:20' });
		for (const [verb, event] of [['create', 'CREATE'], ['get', 'READ'], ['update', 'UPDATE'], ['delete', 'DELETE']]) {
			const { response } = await ow.feeds[verb]({ feedName: 'f1', trigger: 't9', params: { extra: 1 } });

			assert.deepStrictEqual([response.result.lifecycleEvent, response.result.triggerName, response.result.extra], [event, '/_/t9', 1]);
		}
		await ow.actions.delete('f1');
	},

	async 'namespaces: list and get; routes: list'() {
		assert.deepStrictEqual(await ow.namespaces.list(), ['guest']);
		await ow.actions.update({ name: 'n1', action: ECHO, kind: 'nodejs:20' });
		const all = await ow.namespaces.get('guest');
		assert.deepStrictEqual([all.actions.map(a => a.name), all.packages, all.triggers, all.rules], [['n1'], [], [], []]);
		await ow.actions.delete('n1');
		assert.deepStrictEqual((await ow.routes.list()).apis, []);
	},

	async 'a wrong key is refused'() {
		const stranger = openwhisk({ apihost: host, api_key: '00000000-0000-4000-8000-000000000000:' + 'x'.repeat(64) });

		await refused(stranger.actions.list(), 401);
	},

	async 'inside a function: the package finds its way by itself'() {
		const code = `async function main() {
			const ow = require('openwhisk')({ apihost: process.env.ADDRESS || 'http://127.0.0.1:9' });
			return { key: ow.actions.client.options.apiKey.length, ns: process.env.__OW_NAMESPACE };
		}`;
		await ow.actions.create({ name: 'i1', action: code, kind: 'nodejs:20', annotations: { 'provide-api-key': true } });
		const result = await ow.actions.invoke({ name: 'i1', blocking: true, result: true });
		assert.deepStrictEqual(result, { key: process.env.__OW_API_KEY.length, ns: 'guest' });
		await ow.actions.delete('i1');
	},
};

async function main() {
	const names = Object.keys(tests);
	let failed = 0;

	for (const [i, name] of names.entries()) {
		try {
			await tests[name]();
			console.log(`ok ${i + 1} - openwhisk: ${name}`);
		} catch (error) {
			console.log(`# ${String(error.stack || error).split('\n').slice(0, 6).join('\n# ')}`);
			console.log(`not ok ${i + 1} - openwhisk: ${name}`);
			failed++;
		}
	}
	console.log(`1..${names.length}`);
	process.exit(failed ? 1 : 0);
}

main();
