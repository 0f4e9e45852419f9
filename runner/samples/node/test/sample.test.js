import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import rig from '../../../node/test/rig.js';

const dir = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');

// documentOf is the part of funcatron.yaml that the process needs: its operationIds.
const operations = [...new Set(fs.readFileSync(path.join(dir, 'funcatron.yaml'), 'utf8').match(/(?<=operationId: ).*/g))];

const start = (t, props) => rig.start(t, dir, { props, document: rig.documentOf(...operations) });

test('simpleGet', async (t) => {
  const sample = await start(t);
  const one = await sample.call('simpleGet', { target: '/simple/1?cool=yes&a=1&a=2&%3C=%C3%BC', params: '{"path":{"num":9223372036854775807}}' });
  assert.equal(one.status, 200);
  assert.equal(one.headers['content-type'], 'application/json');
  assert.match(one.body, /^\{"num-param":9223372036854775807,"bools":true,"numero":0\.\d+(e-\d+)?,"query-params":\{"cool":"yes","a":\["1","2"\],"<":"ü"\},"time":"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4}"\}$/);
  assert.ok(!('num-param' in (await sample.call('simpleGet')).json()));
  assert.equal(await sample.stop(), 0);
  const line = { level: 'INFO', msg: "In Node 'SimpleGet... yay!", op: 'simpleGet', req: rig.requestId };
  assert.deepEqual(sample.lines, [line, line]);
});

test('postOrDelete', async (t) => {
  const sample = await start(t);
  const post = (cnt, age) => sample.post('postOrDelete', `{"name":"Ann","age":${age}}`, { params: { path: { cnt } } });
  assert.equal((await post(2, 30)).body, '[{"name":"Ann1","age":31},{"name":"Ann2","age":32}]');
  assert.equal((await post(1, '9007199254740993')).body, '[{"name":"Ann1","age":9007199254740994}]');
  assert.equal((await post(0, 30)).body, '[]');
  assert.equal((await post(-5, 30)).body, '[]');
  const deleted = await sample.call('postOrDelete', { method: 'DELETE', params: '{"path":{"cnt":9223372036854775807}}' });
  assert.equal(deleted.body, '{"name":"Deleted 9223372036854775807","age":9223372036854775807}');
  const got = await sample.call('postOrDelete', { params: { path: { cnt: 7 } } });
  assert.deepEqual([got.status, got.headers['content-type'], got.body], [400, 'text/plain', 'Expecting a POST or DELETE, but got GET']);
});

test('visits are kept, refused, and taken back', async (t) => {
  const db = { type: 'database', url: `file:${path.join(rig.folder(t), 'visits.db')}` };
  const sample = await start(t, { maxVisits: 2, db });
  const visit = (name, sleep = 0, timeout) => sample.post('addVisit', JSON.stringify({ name }), { params: { query: { sleep } }, timeout });
  const list = async (name) => (await sample.call('listVisits', { params: { query: { name, limit: 100 } } })).json().map((v) => v.id);

  const first = await visit('Ann');
  assert.equal(first.status, 201);
  assert.deepEqual(Object.keys(first.json()), ['id', 'name', 'time']);
  const second = await visit('Ann');
  const third = await visit('Ann');
  assert.equal(third.status, 409);
  assert.equal(third.json().detail, 'Ann has visited 2 times already');
  assert.deepEqual(await list('Ann'), [second.json().id, first.json().id]);

  const late = await visit('Bob', 60000, 100);
  assert.equal(late.status, 504);
  assert.deepEqual(await list('Bob'), []);

  const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await visit('Cid')).status));
  assert.equal(statuses.filter((s) => s === 201).length, 2);
  assert.equal(statuses.filter((s) => s === 409).length, 18);
  assert.equal((await list()).length, 4);
  assert.equal(await sample.stop(), 0);
});

test('visits of two processes', async (t) => {
  const props = { maxVisits: 30, db: { type: 'database', url: `file:${path.join(rig.folder(t), 'visits.db')}`, busyTimeout: 20000 } };
  const two = [await start(t, props), await start(t, props)];
  const visit = async (i) => (await two[i % 2].post('addVisit', '{"name":"Ann"}', { params: { query: { sleep: 1 } } })).status;
  const statuses = await Promise.all(Array.from({ length: 40 }, (_, i) => visit(i)));
  assert.equal(statuses.filter((s) => s === 201).length, 30);
  assert.equal(statuses.filter((s) => s === 409).length, 10);
  // One that is killed while it writes holds nobody up.
  const cut = two[0].post('addVisit', '{"name":"Bob"}', { params: { query: { sleep: 60000 } } }).catch(() => {});
  await rig.until(async () => (await two[1].post('addVisit', '{"name":"Cid"}', { params: { query: { sleep: 0 } }, timeout: 100 })).status === 504);
  two[0].child.kill('SIGKILL');
  await cut;
  assert.equal((await two[1].post('addVisit', '{"name":"Bob"}', { params: { query: { sleep: 0 } } })).status, 201);
});

test('visits without a database', async (t) => {
  const sample = await start(t);
  const answer = await sample.call('listVisits', { params: { query: { limit: 1 } } });
  assert.equal(answer.status, 503);
  assert.match(answer.json().detail, /service "db" is not configured/);
});

test('echo', async (t) => {
  const sample = await start(t);
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (const [type, body] of [['application/octet-stream', every], ['text/plain; charset=utf-8', Buffer.from('\ufeffGrüße 世界 🚀\r\n')], ['application/octet-stream', Buffer.alloc(7 << 20, every)]]) {
    const answer = await sample.call('echo', { method: 'POST', headers: { 'Content-Type': type }, body });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], type);
    assert.equal(answer.headers['x-sample-length'], String(body.length));
    assert.ok(answer.bytes.equals(body));
  }
  const empty = await sample.call('echo', { method: 'POST' });
  assert.deepEqual([empty.status, empty.body, empty.headers['x-sample-length']], [200, '', '0']);
});

test('record and params', async (t) => {
  const sample = await start(t);
  for (const record of [
    '{"id":9007199254740993,"text":"Grüße 世界 🚀 \\u0000 <&>","ratio":0.1,"tags":["a",""]}',
    '{"id":-9223372036854775808,"text":"","ratio":-0.000001,"tags":[]}',
  ]) {
    assert.equal((await sample.post('record', record)).body, record);
  }
  const params = '{"path":{"id":-9223372036854775808,"name":"a/b é"},"query":{"limit":10,"on":false,"tags":["x"]}}';
  assert.equal((await sample.call('params', { params: Buffer.from(params).toString('latin1') })).body, '{"id":-9223372036854775808,"name":"a/b é","limit":10,"on":false,"tags":["x"]}');
});

test('status, fail, log and sleep', async (t) => {
  const sample = await start(t);
  for (const [code, body, location] of [[200, 'status 200'], [204, ''], [302, 'status 302', '/elsewhere'], [304, '', '/elsewhere'], [404, 'status 404'], [599, 'status 599']]) {
    const answer = await sample.call('status', { params: { path: { code } } });
    assert.deepEqual([answer.status, answer.body, answer.headers.location, answer.headers['x-sample-status']], [code, body, location, String(code)]);
  }
  const refused = await sample.call('fail', { params: { path: { how: 'refuse' } } });
  assert.deepEqual([refused.status, refused.json().detail], [422, 'the sample refuses on purpose']);
  const failed = await sample.call('fail', { params: { path: { how: 'error' } } });
  assert.equal(failed.status, 500);
  assert.doesNotMatch(failed.body, /on purpose/);
  assert.deepEqual((await sample.call('log', { params: '{"query":{"text":"Gr\\u00fc\\u00dfe\\n2"}}' })).json(), { requestId: rig.requestId });
  assert.deepEqual((await sample.call('sleep', { params: { path: { ms: 1 } } })).json(), { slept: 1 });
  assert.equal((await sample.call('sleep', { params: { path: { ms: 60000 } }, timeout: 50 })).status, 504);
  assert.equal(await sample.stop(), 0);
  assert.deepEqual(sample.lines.map((l) => [l.level, l.msg]), [
    ['ERROR', 'function failed: the sample fails on purpose'], ['INFO', 'Grüße\n2'], ['WARN', 'Grüße\n2'], ['ERROR', 'the function ran out of time'],
  ]);
});
