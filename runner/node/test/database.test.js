'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { schemeOf } = require('../lib/database.js');
const { Turn, fileOf } = require('../lib/sqlite.js');
const { documentOf, folder, start, until } = require('./rig.js');

test('a URL says what opens it', () => {
  for (const [url, want] of [
    ['postgres://h/d', 'postgres'], ['postgresql://h/d', 'postgres'], ['mysql://h/d', 'mysql'], ['mariadb://h/d', 'mysql'],
    ['file:/a/b.db', 'sqlite'], ['sqlite:///a/b.db', 'sqlite'], ['/a/b.db', 'sqlite'], ['b.db', 'sqlite'], [':memory:', 'sqlite'],
  ]) {
    assert.equal(schemeOf(url), want, url);
  }
  assert.throws(() => schemeOf('redis://h'), /no driver here opens/);
});

test('a URL says which file it is', () => {
  for (const [url, file, readOnly = false] of [
    ['file:/a/b.db', '/a/b.db'], ['file:///a/b.db', '/a/b.db'], ['file://localhost/a/b.db', '/a/b.db'], ['sqlite:///a/b.db', '/a/b.db'], ['file:/a%20b.db?mode=ro', '/a b.db', true],
    ['file:b.db?mode=rwc', 'b.db'], ['/a/b%20c?.db', '/a/b%20c?.db'], [':memory:', ':memory:'], ['file::memory:', ':memory:'],
  ]) {
    assert.deepEqual(fileOf(url), { file, readOnly }, url);
  }
});

test('turns go by the order of asking, and whoever leaves is passed over', async () => {
  const turn = new Turn();
  const order = [];
  const stop = new AbortController();
  await turn.take();
  const waiting = [1, 2, 3].map(async (n) => {
    await turn.take(n === 2 ? stop.signal : undefined);
    order.push(n);
    turn.pass();
  });
  stop.abort(new Error('left'));
  await assert.rejects(waiting[1], /left/);
  turn.pass();
  await Promise.all([waiting[0], waiting[2]]);
  assert.deepEqual(order, [1, 3]);
  await turn.take();
  await assert.rejects(turn.take(AbortSignal.abort(new Error('gone'))), /gone/);
});

const code = `
import { setTimeout as pause } from 'node:timers/promises';
import { HTTPError } from 'funcatron';
export const run = async (ctx, statements) => {
  const db = await ctx.vend('db');
  const all = [];
  for (const [how, sql, params] of statements) {
    if (how === 'sleep') await pause(sql);
    else if (how === 'fail') throw new HTTPError(422, 'no');
    else if (how === 'forget') db.query(sql);
    else all.push(await db[how](sql, params));
  }
  return all;
};
let kept;
export const keep = async (ctx) => { kept = await ctx.vend('db'); };
export const after = async () => { try { await kept.query('SELECT 1'); return 'open'; } catch (e) { return e.message; } };
`;

const bundleWith = (t, files, props) => start(t, folder(t, { 'index.mjs': code, ...files }), { props: { db: { type: 'database', ...props } }, document: documentOf('run', 'keep', 'after') });

const run = (bundle, statements, options) => bundle.post('run', JSON.stringify(statements), options);

// A driver of PostgreSQL that prints what it is told.
const fakePg = {
  'node_modules/pg/index.js': `
let clients = 0;
const say = (text) => process.stdout.write('pg ' + text + '\\n');
class Client {
  id = ++clients;
  async query(q) {
    const { text, values, types } = typeof q === 'string' ? { text: q } : q;
    say(this.id + ' ' + text);
    if (text.startsWith('SLEEP')) await new Promise((r) => setTimeout(r, 60000));
    if (text === 'BAD') throw new Error('syntax error');
    if (text === 'COMMIT' && this.doomed) return { command: 'ROLLBACK' };
    if (text === 'DOOM') this.doomed = true;
    return { command: text, rowCount: 3, rows: types ? [{ n: types.getTypeParser(20, 'text')('9007199254740993'), m: types.getTypeParser(20, 'text')('7'), other: types.getTypeParser(25, 'text')('x'), values }] : [] };
  }
  release(drop) { say(this.id + (drop ? ' dropped' : ' released')); }
}
exports.types = { getTypeParser: () => (v) => v + '!' };
exports.Pool = class {
  constructor(o) { say('pool ' + JSON.stringify(o)); }
  on() {}
  async connect() { return new Client(); }
  async end() { say('end'); }
};`,
};

test('PostgreSQL: a transaction a request', async (t) => {
  const bundle = await bundleWith(t, fakePg, { url: 'postgres://h/d', username: 'u', password: 'p@ss', isolation: 'serializable' });
  const said = () => bundle.lines.filter((l) => typeof l === 'string').map((l) => l.slice(3));
  const since = async (statements, options) => {
    const before = said().length;
    const { status, body } = await run(bundle, statements, options);
    await until(() => said().length > before && /(released|dropped)$/.test(said().at(-1)));
    return [status, body, said().slice(before).map((l) => l.replace(/^\d+ /, ''))];
  };
  assert.deepEqual(await since([['query', 'SELECT $1', ['v']], ['execute', 'UPDATE']]), [200, '[[{"n":9007199254740993,"m":7,"other":"x!","values":["v"]}],{"changes":3}]',
    ['pool {"connectionString":"postgres://u:p%40ss@h/d","max":10}', 'BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT $1', 'UPDATE', 'COMMIT', 'released']]);
  assert.deepEqual((await since([['query', 'SELECT'], ['fail']])).slice(2), [['BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT', 'ROLLBACK', 'released']]);
  assert.deepEqual((await since([['query', 'BAD']]))[0], 500);
  assert.deepEqual((await since([['query', 'SLEEP']], { timeout: 50 })).filter((_, i) => i !== 1), [504, ['BEGIN ISOLATION LEVEL SERIALIZABLE', 'SLEEP', 'dropped']]);
  assert.deepEqual((await since([['query', 'DOOM']]))[0], 500);
  assert.deepEqual((await since([['forget', 'SLEEP'], ['query', 'SELECT']])).filter((_, i) => i !== 1), [500, ['BEGIN ISOLATION LEVEL SERIALIZABLE', 'SLEEP', 'SELECT', 'dropped']]);
  await bundle.call('keep');
  assert.match((await bundle.call('after')).body, /the transaction is over/);
  assert.equal(await bundle.stop(), 0);
  assert.equal(said().at(-1), 'end');
});

test('a driver that is missing is named', async (t) => {
  const bundle = await bundleWith(t, {}, { url: 'mysql://h/d' });
  assert.equal((await run(bundle, [])).status, 503);
  assert.ok(bundle.lines.some((l) => l.level === 'ERROR' && /the bundle brings no driver for it: npm install mysql2/.test(l.stack)));
});

test('an isolation that is none is refused, and no password shown', async (t) => {
  const bundle = await bundleWith(t, fakePg, { url: 'postgres://u:hidden@h/d', isolation: 'none' });
  assert.equal((await run(bundle, [])).status, 503);
  assert.match(bundle.stdout, /isolation \\"none\\" is none of/);
  assert.doesNotMatch(bundle.stdout, /hidden/);
});

// SQLite by what there is: node:sqlite comes with Node, the sample has its own driver.
const installed = path.join(__dirname, '..', '..', 'samples', 'node', 'node_modules');
const drivers = [
  ...(fs.existsSync(path.join(installed, '@photostructure')) ? ['@photostructure/sqlite'] : []),
  ...(process.getBuiltinModule?.('node:sqlite') ? ['node:sqlite'] : []),
];

for (const driver of drivers) {
  test(`SQLite by ${driver}`, async (t) => {
    const files = folder(t, { 'index.mjs': code });
    fs.symlinkSync(installed, path.join(files, 'node_modules'));
    const dir = folder(t);
    const open = (props) => start(t, files, { props: { db: { type: 'database', driver, url: `file:${dir}/a.db`, ...props } }, document: documentOf('run') });
    const one = await open();
    const made = await run(one, [
      ['execute', 'CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, b)'],
      ['execute', 'INSERT INTO t (n, s, b) VALUES (?, ?, ?)', [1, 'ü', true]],
      ['query', 'INSERT INTO t (n) VALUES (:n) RETURNING id, n', { n: 2 }],
      ['query', 'SELECT 9223372036854775807 AS big, n, s, b FROM t ORDER BY id'],
      ['query', 'DELETE FROM t WHERE n = 5'],
    ]);
    assert.equal(made.body, '[{"changes":0,"lastInsertId":0},{"changes":1,"lastInsertId":1},[{"id":2,"n":2}],[{"big":9223372036854775807,"n":1,"s":"ü","b":1},{"big":9223372036854775807,"n":2,"s":null,"b":null}],[]]');
    const insert = ['execute', 'INSERT INTO t (n) VALUES (9)'];
    const count = async (bundle = one) => (await run(bundle, [['query', 'SELECT count(*) AS n FROM t WHERE n = 9']])).json()[0][0].n;
    assert.equal((await run(one, [insert, ['fail']])).status, 422);
    assert.equal((await run(one, [insert, ['query', 'NO SQL']])).status, 500);
    assert.equal((await run(one, [insert, ['sleep', 60000]], { timeout: 50 })).status, 504);
    assert.equal((await run(one, [insert, ['execute', 'COMMIT']])).status, 500); // that is not the function's to do
    assert.equal(await count(), 1);
    // One waits for another, of the same process and of another one, and nothing else waits.
    const two = await open();
    const all = await Promise.all([one, two, one, two].map((b) => run(b, [insert, ['sleep', 30]])));
    assert.deepEqual(all.map((a) => a.status), [200, 200, 200, 200]);
    assert.equal(await count(two), 5);
    const impatient = await open({ busyTimeout: 50 });
    const writing = run(one, [insert, ['sleep', 1000]]);
    await until(async () => (await run(impatient, [['query', 'SELECT 1']])).status === 503);
    assert.equal((await writing).status, 200);
    const reading = await open({ readOnly: true });
    assert.equal(await count(reading), 6);
    assert.equal((await run(reading, [insert])).status, 500);
    for (const bundle of [one, two, impatient, reading]) assert.equal(await bundle.stop(), 0);
  });
}
