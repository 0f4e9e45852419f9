'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { test } = require('node:test');
const { documentOf, folder, launch, requestId, start, traceparent, until } = require('./rig.js');

const code = `
import http from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { HTTPError, Reply, log, registerVendor } from 'funcatron';

const errors = { plain: () => new Error('secret'), text: () => 'secret', nothing: () => undefined,
  http: () => new HTTPError(409, 'told', { headers: { 'Retry-After': 7 } }), cause: () => new HTTPError(503, 'told', { cause: new Error('secret') }),
  exposed: () => Object.assign(new Error('told'), { status: 418, expose: true }), hidden: () => Object.assign(new Error('secret'), { status: 418, expose: false }) };
const values = { nothing: undefined, none: null, text: 'Grüße', bytes: new Uint8Array([0, 255]), object: { n: 9007199254740993n, at: new Date(0) }, list: [1], zero: 0, yes: true,
  reply: new Reply({ a: 1 }, { status: 201, headers: { 'X-A': ['1', '2'], 'Content-Type': 'application/vnd.a+json', 'Content-Length': 999, Connection: 'close' } }),
  empty: new Reply(), badStatus: new Reply('x', { status: 99 }), badHeader: new Reply('x', { headers: { 'X-A': 'a\\nb' } }), fn: () => {} };
const streams = { async *generator() { yield 'a'; await pause(5); yield Buffer.from('b'); }, readable: () => Readable.from(['a', 'b']), sync: function* () { yield 'a'; yield 'b'; },
  web: () => new Response('ab').body, response: () => new Response('ab', { status: 202, headers: { 'X-A': '1', 'Content-Type': 'text/x' } }), json: () => Response.json({ a: 1 }), none: () => new Response(null, { status: 204 }),
  async *empty() {}, async *early() { throw new Error('secret'); }, async *broken() { yield 'a'; await pause(5); throw new Error('broken on purpose'); }, big: function* () { for (let i = 0; i < 200; i++) yield Buffer.alloc(65536, 'x'); } };

export const fail = async (ctx) => { throw errors[ctx.params.how](); };
export const failNow = (ctx) => { throw errors[ctx.params.how](); };
export const give = (ctx) => values[ctx.params.what];
export const stream = (ctx) => streams[ctx.params.what]();
export const body = (ctx, body) => ({ type: Buffer.isBuffer(body) ? 'bytes' : typeof body, length: ctx.body.length, value: Buffer.isBuffer(body) ? body.toString('hex') : body });
export const context = async (ctx) => ({ method: ctx.method, uri: ctx.uri, host: ctx.headers['x-mine'], requestId: ctx.requestId, operation: ctx.operation, path: ctx.pathParams, query: ctx.queryParams, header: ctx.headerParams, form: ctx.formParams, params: ctx.params, props: ctx.props, services: ctx.services, remaining: ctx.remaining, out: ctx.outgoingHeaders });
export const frozen = (ctx) => { ctx.props.list.push(1); };
export const fetch = async (ctx) => (await ctx.fetch(ctx.params.url, { headers: { 'X-Mine': '1' } })).text();
export const logs = async (ctx) => {
  console.log('log %s', 'a', { b: 1 }); console.warn('warn'); console.debug('debug');
  await pause(1);
  console.error(new Error('shown')); log.info('fields', { op: 1, level: 2, n: 1n, error: new Error('inside') });
  const circle = {}; circle.circle = circle; ctx.log.warn('circle', { circle }); log.info('x'.repeat(200000)); log.info({ not: 'text' });
  process.stdout.write('plain line\\n');
};
const events = [];
export const seen = () => events.splice(0);
export const slow = async (ctx) => { ctx.signal.addEventListener('abort', () => events.push(ctx.signal.reason.name ?? 'Error')); await pause(ctx.params.ms); events.push('done'); return 'slept'; };
export const deaf = async (ctx) => { await pause(ctx.params.ms); throw new Error('late on purpose'); };
export const busy = (ctx) => { const end = Date.now() + ctx.params.ms; while (Date.now() < end); return 'busy'; };
export const endless = async function* (ctx) { try { for (;;) { yield 'x'; await pause(5); } } finally { events.push('ended'); } };
export const reject = () => { Promise.reject(new Error('nobody caught it')); return 'answered'; };
export const crash = () => { setImmediate(() => { throw new Error('nobody caught it either'); }); return pause(10000); };
let closed;
registerVendor('thing', (name, props) => ({
  vend: (ctx) => { if (props.broken) throw new Error('secret'); events.push('vend ' + name); return { name }; },
  release: (item, success) => { events.push(item.name + (success ? ' kept' : ' undone')); if (success && props.refuses) throw new Error('cannot be kept'); },
  close: () => console.log('closed ' + name),
}));
export const vend = async (ctx) => { const items = await Promise.all(ctx.params.names.map((n) => ctx.vend(n))); if (ctx.params.ms) await pause(ctx.params.ms); if (ctx.params.fail) throw new HTTPError(422, 'no'); return items.map((i) => i.name); };
console.log('outside of requests');
`;

const operations = [...code.matchAll(/^export const (\w+)/gm)].map(([, name]) => name);

const startCode = (t, options) => start(t, folder(t, { 'index.mjs': code }), { document: documentOf(...operations), ...options });

test('answers', async (t) => {
  const bundle = await startCode(t);
  const give = async (what, method) => {
    const { status, headers, body } = await bundle.call('give', { params: { query: { what } }, method });
    return [status, headers['content-type'], headers['content-length'], body];
  };
  assert.deepEqual(await give('nothing'), [204, undefined, undefined, '']);
  assert.deepEqual(await give('none'), [204, undefined, undefined, '']);
  assert.deepEqual(await give('text'), [200, 'text/plain; charset=utf-8', '7', 'Grüße']);
  assert.deepEqual((await give('bytes')).slice(0, 3), [200, 'application/octet-stream', '2']);
  assert.deepEqual(await give('object'), [200, 'application/json', '54', '{"n":9007199254740993,"at":"1970-01-01T00:00:00.000Z"}']);
  assert.deepEqual(await give('list'), [200, 'application/json', '3', '[1]']);
  assert.deepEqual(await give('zero'), [200, 'application/json', '1', '0']);
  assert.deepEqual(await give('yes'), [200, 'application/json', '4', 'true']);
  assert.deepEqual(await give('empty'), [200, undefined, '0', '']);
  assert.deepEqual(await give('text', 'HEAD'), [200, 'text/plain; charset=utf-8', '7', '']);
  const reply = await bundle.call('give', { params: { query: { what: 'reply' } } });
  assert.deepEqual([reply.status, reply.headers['x-a'], reply.headers['content-type'], reply.headers.connection, reply.body], [201, '1, 2', 'application/vnd.a+json', 'keep-alive', '{"a":1}']);
  for (const what of ['badStatus', 'badHeader', 'fn']) assert.equal((await give(what))[0], 500, what);
});

test('errors', async (t) => {
  const bundle = await startCode(t);
  for (const operation of ['fail', 'failNow']) {
    for (const [how, status, detail] of [
      ['plain', 500], ['text', 500], ['nothing', 500], ['hidden', 500], ['http', 409, 'told'], ['cause', 503, 'told'], ['exposed', 418, 'told'],
    ]) {
      const answer = await bundle.call(operation, { params: { path: { how } } });
      const problem = answer.json();
      assert.deepEqual([answer.status, answer.headers['content-type'], problem.status, problem.title, problem.requestId], [status, 'application/problem+json', status, http.STATUS_CODES[status], requestId]);
      assert.equal(problem.detail, detail ?? 'the function failed; its log says why, under this requestId');
      if (how === 'http') assert.equal(answer.headers['retry-after'], '7');
    }
  }
  const unknown = await bundle.call('nobody');
  assert.equal(unknown.status, 501);
  const params = await bundle.call('give', { params: '{"path":' });
  assert.equal(params.status, 400);
  await bundle.stop();
  const failures = bundle.lines.filter((l) => l.level === 'ERROR' && l.req === requestId);
  assert.equal(failures.length, 2 * 5 + 1); // not those below 500, which are the client's
  assert.equal(failures.filter((l) => l.stack.includes('secret') && /index\.mjs|'secret'/.test(l.stack)).length, 2 * 4);
});

test('streams', async (t) => {
  const bundle = await startCode(t);
  for (const [what, status, type, body] of [
    ['generator', 200, 'application/octet-stream', 'ab'], ['readable', 200, 'application/octet-stream', 'ab'], ['sync', 200, 'application/octet-stream', 'ab'], ['web', 200, 'application/octet-stream', 'ab'],
    ['response', 202, 'text/x', 'ab'], ['json', 200, 'application/json', '{"a":1}'], ['none', 204, undefined, ''], ['empty', 200, undefined, ''],
  ]) {
    const answer = await bundle.call('stream', { params: { query: { what } } });
    assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [status, type, body], what);
  }
  assert.equal((await bundle.call('stream', { params: { query: { what: 'big' } } })).bytes.length, 200 * 65536);
  assert.equal((await bundle.call('stream', { params: { query: { what: 'generator' } }, method: 'HEAD' })).status, 200);
  assert.equal((await bundle.call('stream', { params: { query: { what: 'early' } } })).status, 500);
  await assert.rejects(bundle.call('stream', { params: { query: { what: 'broken' } } }), /aborted|hang up/);
  await until(() => bundle.stdout.includes('broken on purpose'));
  await assert.rejects(bundle.call('endless', { timeout: 50 }), /aborted|hang up/); // half an answer is none
  await until(async () => (await bundle.call('seen')).json().includes('ended'));
});

test('bodies', async (t) => {
  const bundle = await startCode(t);
  const send = async (type, body) => (await bundle.call('body', { method: 'POST', headers: type ? { 'Content-Type': type } : {}, body }));
  for (const [type, body, want] of [
    ['application/json', '{"n":9223372036854775807,"m":1}', '{"type":"object","length":31,"value":{"n":9223372036854775807,"m":1}}'],
    ['application/vnd.x+json; charset=utf-8', '[1]', '{"type":"object","length":3,"value":[1]}'],
    ['', '"assumed"', '{"type":"string","length":9,"value":"assumed"}'],
    ['text/plain', '"ü"', '{"type":"string","length":4,"value":"\\"ü\\""}'],
    ['application/octet-stream', Buffer.from([0, 255]), '{"type":"bytes","length":2,"value":"00ff"}'],
    ['application/json', '', '{"type":"undefined","length":0}'],
  ]) {
    assert.equal((await send(type, body)).body, want);
  }
  const wrong = await send('application/json', '{"a":');
  assert.equal(wrong.status, 400);
  assert.match(wrong.json().detail, /^the body is not JSON: /);
});

test('big bodies, chunked bodies, and long headers', async (t) => {
  const bundle = await startCode(t);
  const big = `"${'ü'.repeat(8 << 20)}"`;
  assert.equal((await bundle.post('body', big)).json().length, (16 << 20) + 2);
  const req = bundle.open('body', { headers: { 'Content-Type': 'application/json' } });
  for (const piece of ['[9007199254740993', ',2', ']']) req.write(piece);
  req.end();
  const [res] = await once(req, 'response');
  assert.match((await res.toArray()).join(''), /"value":\[9007199254740993,2\]/);
  const text = 'ü'.repeat(4 << 20);
  const form = Buffer.from(JSON.stringify({ form: { text }, query: {} })).toString('latin1');
  assert.equal((await bundle.call('context', { params: form })).json().form.text, text);
});

test('the context', async (t) => {
  const props = { key: 'value', n: 1, list: [], a: { type: 'thing' }, b: { type: 'unknown' } };
  const bundle = await startCode(t, { props });
  const params = '{"path":{"x":1,"id":9223372036854775807},"query":{"x":2,"y":2,"given":true},"header":{"x":3,"y":3,"z":3,"w":3},"form":{"x":4,"y":4,"z":4}}';
  const answer = await bundle.call('context', { method: 'PUT', target: '/a%20b?given=true&more=1&more=2&__proto__=p&e=&%C3%BC=%F0%9F%9A%80+x', params, headers: { 'X-Mine': 'm' } });
  assert.match(answer.body, /"id":9223372036854775807/);
  const { remaining, out, ...context } = answer.json();
  assert.ok(remaining > 0 && remaining <= 30000);
  assert.equal(out['x-request-id'], requestId);
  assert.match(out.traceparent, new RegExp(`^00-${requestId}-[0-9a-f]{16}-01$`));
  assert.notEqual(out.traceparent, traceparent);
  const extra = { more: ['1', '2'], e: '', ü: '🚀 x' };
  const query = Object.assign(Object.create(null), JSON.parse('{"__proto__":"p"}'), { x: 2, y: 2, given: true, ...extra });
  assert.deepEqual({ ...context.query }, { ...query });
  assert.deepEqual(Object.keys(context.params).sort(), ['__proto__', 'e', 'given', 'id', 'more', 'w', 'x', 'y', 'z', 'ü']);
  assert.deepEqual([context.params.x, context.params.y, context.params.z, context.params.w], [1, 2, 4, 3]);
  assert.deepEqual([context.method, context.uri.slice(0, 12), context.host, context.requestId, context.operation], ['PUT', '/a%20b?given', 'm', requestId, 'context']);
  assert.deepEqual([context.props, context.services, context.header.w, context.form.z], [props, ['a'], 3, 4]);
  assert.equal((await bundle.call('frozen')).status, 500);
});

test('ctx.fetch passes the request on', async (t) => {
  const bundle = await startCode(t);
  const server = http.createServer((req, res) => res.end(JSON.stringify(req.headers))).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const headers = (await bundle.call('fetch', { params: { query: { url: `http://127.0.0.1:${server.address().port}/` } } })).json();
  assert.equal(headers['x-request-id'], requestId);
  assert.match(headers.traceparent, new RegExp(`^00-${requestId}-`));
  assert.equal(headers['x-mine'], '1');
});

test('log lines', async (t) => {
  const bundle = await startCode(t);
  await Promise.all([bundle.call('logs'), bundle.call('give', { headers: { 'X-Request-Id': 'f'.repeat(32) } })]);
  await bundle.stop();
  const [outside, ...lines] = bundle.lines;
  assert.deepEqual(outside, { level: 'INFO', msg: 'outside of requests' });
  assert.equal(lines.pop(), 'plain line');
  assert.ok(lines.every((l) => l.op === 'logs' && l.req === requestId));
  assert.deepEqual(lines.slice(0, 3).map((l) => [l.level, l.msg]), [['INFO', 'log a { b: 1 }'], ['WARN', 'warn'], ['DEBUG', 'debug']]);
  assert.match(lines[3].msg, /^Error: shown\n +at /);
  assert.deepEqual([lines[4].op_, lines[4].level_, lines[4].n], [1, 2, 1]);
  assert.match(lines[4].error, /^Error: inside\n/);
  assert.match(lines[5].circle, /Circular/);
  assert.ok(lines[6].cut > 200000 && lines[6].msg.startsWith('xxx'));
  assert.equal(lines[7].msg, "{ not: 'text' }");
  assert.ok(bundle.stdout.split('\n').every((l) => Buffer.byteLength(l) <= 60 << 10));
});

test('at the deadline the answer is 504, and what comes later is dropped', async (t) => {
  const bundle = await startCode(t);
  const late = await bundle.call('slow', { params: { path: { ms: 200 } }, timeout: 50 });
  assert.deepEqual([late.status, late.json().status, late.headers['content-type']], [504, 504, 'application/problem+json']);
  assert.deepEqual((await bundle.call('seen')).json(), ['TimeoutError']);
  assert.equal((await bundle.call('busy', { params: { path: { ms: 60 } }, timeout: 20 })).status, 504);
  assert.equal((await bundle.call('deaf', { params: { path: { ms: 100 } }, timeout: 20 })).status, 504);
  assert.equal((await bundle.call('slow', { params: { path: { ms: 1 } } })).body, 'slept');
  await until(() => bundle.stdout.includes('late on purpose')); // an error is logged, however late
  await until(async () => (await bundle.call('seen')).json().includes('done'), 'the function ran on');
});

test('a connection that is closed cancels its request', async (t) => {
  const bundle = await startCode(t);
  const stop = new AbortController();
  const call = bundle.call('slow', { params: { path: { ms: 60000 } }, signal: stop.signal });
  call.catch(() => {});
  await until(async () => (await bundle.call('give')).status === 204);
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(call);
  await until(async () => (await bundle.call('seen')).json().includes('Error'));
});

test('SIGTERM lets what runs finish', async (t) => {
  const bundle = await startCode(t, { props: { a: { type: 'thing' } } });
  await bundle.call('vend', { params: { query: { names: ['a'] } } });
  const running = bundle.call('slow', { params: { path: { ms: 300 } } });
  await until(async () => (await bundle.call('give')).status === 204);
  const ended = bundle.stop();
  const answer = await running;
  assert.deepEqual([answer.status, answer.body], [200, 'slept']);
  assert.equal(await ended, 0);
  assert.ok(bundle.lines.some((l) => l.msg === 'closed a'));
});

test('SIGTERM with big answers on the way', async (t) => {
  const bundle = await startCode(t);
  const answer = bundle.call('stream', { params: { query: { what: 'big' } } });
  await until(async () => (await bundle.call('give')).status === 204);
  const ended = bundle.stop();
  assert.equal((await answer).bytes.length, 200 * 65536);
  assert.equal(await ended, 0);
});

test('what nobody catches ends the process', async (t) => {
  const one = await startCode(t);
  await one.call('reject').catch(() => {});
  assert.equal(await one.end, 1);
  assert.ok(one.lines.some((l) => l.level === 'ERROR' && l.msg === 'unhandled rejection: nobody caught it' && /index\.mjs/.test(l.stack)));
  const two = await startCode(t);
  await assert.rejects(two.call('crash'));
  assert.equal(await two.end, 1);
  assert.ok(two.lines.some((l) => l.level === 'ERROR' && l.msg === 'uncaught exception: nobody caught it either'));
});

test('services', async (t) => {
  const bundle = await startCode(t, { props: { a: { type: 'thing' }, b: { type: 'thing' }, refuses: { type: 'thing', refuses: true }, broken: { type: 'thing', broken: true }, odd: { type: 'odd' } } });
  const vend = async (query, timeout) => {
    const answer = await bundle.call('vend', { params: { query }, timeout });
    return [answer.status, answer.json().detail, (await bundle.call('seen')).json()];
  };
  assert.deepEqual(await vend({ names: ['a', 'b', 'a'] }), [200, undefined, ['vend a', 'vend b', 'b kept', 'a kept']]);
  assert.deepEqual(await vend({ names: ['a'], fail: true }), [422, 'no', ['vend a', 'a undone']]);
  assert.deepEqual(await vend({ names: ['a', 'refuses'] }), [500, 'the function failed; its log says why, under this requestId', ['vend a', 'vend refuses', 'refuses kept', 'a undone']]);
  assert.deepEqual(await vend({ names: ['a'], ms: 60000 }, 50), [504, 'the function ran out of time', ['vend a', 'a undone']]);
  assert.deepEqual(await vend({ names: ['broken'] }), [503, 'service "broken" is not available', []]);
  assert.deepEqual(await vend({ names: ['odd'] }), [503, 'service "odd" is not available', []]);
  assert.match((await vend({ names: ['gone'] }))[1], /^service "gone" is not configured: enable the bundle with props/);
});

test('it listens on PORT', async (t) => {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  const bundle = await startCode(t, { tcp: port });
  assert.equal((await bundle.call('give', { params: { query: { what: 'text' } } })).body, 'Grüße');
  assert.equal(await bundle.stop(), 0);
});

test('properties that are none are refused, and not shown', async (t) => {
  const bundle = launch(t, folder(t, { 'index.mjs': code }), { props: '{"password":"secret' });
  assert.equal(await bundle.end, 1);
  assert.match(bundle.stderr, /FUNCATRON_PROPS_FILE: it is not JSON/);
  assert.doesNotMatch(bundle.stderr, /secret/);
});
