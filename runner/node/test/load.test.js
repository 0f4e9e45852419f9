'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { entryOf, functionOf } = require('../lib/load.js');
const { documentOf, folder, launch, start } = require('./rig.js');

test('the entry is found', (t) => {
  const js = '// a file';
  for (const [files, want] of [
    [{ 'index.js': js, 'other.js': js }, 'index.js'],
    [{ 'index.cjs': js, 'index.mjs': js }, 'index.mjs'],
    [{ 'bundle.js': js, 'bundle.js.map': js, 'lib/x.js': js }, 'bundle.js'],
    [{ 'bundle.mjs': js, 'package.json': {} }, 'bundle.mjs'],
    [{ 'package.json': { main: 'lib/a' }, 'lib/a.js': js, 'index.js': js }, 'lib/a.js'],
    [{ 'package.json': { main: './lib' }, 'lib/index.js': js }, 'lib/index.js'],
    [{ 'package.json': { main: 'index.js' }, 'index.mjs': js }, 'index.mjs'], // as npm init has it
    [{ 'package.json': { module: 'm.mjs' }, 'm.mjs': js, 'n.mjs': js }, 'm.mjs'],
    [{ 'package.json': { exports: './e.js', main: 'index.js' }, 'e.js': js, 'index.js': js }, 'e.js'],
    [{ 'package.json': { exports: { '.': { browser: './b.js', import: { types: './x.d.ts', default: './i.js' }, default: './d.js' }, './x': './x.js' } }, 'i.js': js, 'd.js': js }, 'i.js'],
    [{ 'package.json': { exports: { require: './r.cjs' } }, 'r.cjs': js }, 'r.cjs'],
    [{ 'package.json': { exports: [{ unknown: './no.js' }, './e.js'] }, 'e.js': js }, 'e.js'],
  ]) {
    const dir = folder(t, files);
    assert.equal(path.relative(dir, entryOf(dir)), path.normalize(want));
  }
});

test('without an entry it says what it looked for', (t) => {
  for (const [files, want] of [
    [{}, /no file to load/],
    [{ 'a.js': '', 'b.mjs': '' }, /more than one file to choose from \(a\.js, b\.mjs\)/],
    [{ 'package.json': { exports: { './x': './x.js' } }, 'index.js': '' }, /"exports" that name no file for "\."/],
    [{ 'package.json': { exports: './gone.js' }, 'index.js': '' }, /names \.\/gone\.js in "exports", which is not there/],
  ]) {
    assert.throws(() => entryOf(folder(t, files)), want);
  }
});

test('functions are found by their names', () => {
  class Greeter {
    static hello() { return 'static'; }
    text = 'bound';
    greet() { return this.text; }
  }
  const module = {
    plain: () => 'plain', 'GET /x': () => 'string name', 'a.b': () => 'exactly', a: { b: () => 'path' }, deep: { er: { f: () => 'deep' } },
    greeter: new Greeter(), Greeter, number: 7, default: { only: () => 'default', deep: { other: () => 'default deep' }, plain: () => 'not this' },
  };
  for (const [name, want] of [
    ['plain', 'plain'], ['GET /x', 'string name'], ['a.b', 'exactly'], ['deep.er.f', 'deep'], ['greeter.greet', 'bound'],
    ['Greeter.hello', 'static'], ['only', 'default'], ['deep.other', 'default deep'],
  ]) {
    assert.equal(functionOf(module, name)(), want, name);
  }
  for (const name of ['toString', 'constructor', 'plain.call', 'number', 'nothing', '', '__proto__', 'plain.constructor', 'deep.er', 'a.b.c', 'greeter.constructor']) {
    assert.equal(functionOf(module, name), undefined, name);
  }
});

const bundles = {
  'an ES module': { 'package.json': { type: 'module' }, 'index.js': "import { Reply } from 'funcatron'; export const f = () => new Reply('esm');" },
  'CommonJS': { 'index.js': "const { Reply } = require('funcatron'); exports.f = () => new Reply('cjs'); exports.wait = 1;" },
  'module.exports of a call': { 'index.js': "module.exports = Object.fromEntries([['f', () => 'made']]);" },
  'a single file': { 'bundle.mjs': "import { createRequire } from 'node:module'; const { Reply } = createRequire(import.meta.url)('funcatron'); export default { f: () => new Reply('one') };" },
  'what the bundle brings': { 'index.mjs': "import { mine } from 'funcatron'; export const f = () => mine;", 'node_modules/funcatron/index.mjs': "export const mine = 'own';", 'node_modules/funcatron/package.json': { exports: './index.mjs' } },
  'CommonJS below an ES module': { 'index.mjs': "import lib from 'lib'; export const f = () => new lib.Reply(lib.text);", 'node_modules/lib/index.js': "exports.Reply = require('funcatron').Reply; exports.text = 'lib';" },
  'top-level await': { 'index.mjs': "const text = await Promise.resolve('awaited'); export const f = () => text;" },
};

for (const [name, files] of Object.entries(bundles)) {
  test(`${name} is served`, async (t) => {
    const bundle = await start(t, folder(t, files), { document: documentOf('f') });
    const answer = await bundle.call('f');
    assert.equal(answer.status, 200, answer.body);
    assert.match(answer.body, /^(esm|cjs|made|one|own|lib|awaited)$/);
    assert.equal(await bundle.stop(), 0);
    assert.equal(bundle.stderr, '');
  });
}

for (const [name, files, want] of [
  ['functions that are missing', { 'index.mjs': 'export const there = () => {}, value = 1;' }, /no function for these operations of its Swagger document: gone, value, a\.b \(it exports there, value\)/],
  ['a package that is missing', { 'index.mjs': "import 'no-such-package';" }, /load index\.mjs of the bundle: .*no-such-package/s],
  ['a syntax error', { 'index.mjs': 'export const f = (' }, /load index\.mjs of the bundle: .*SyntaxError/s],
  ['an error while loading', { 'index.mjs': "\nthrow new Error('on purpose');" }, /on purpose\n.*index\.mjs:2/s],
  ['no entry', { 'readme.txt': '' }, /no file to load/],
]) {
  test(`${name}: said on stderr, and the process ends`, async (t) => {
    const bundle = launch(t, folder(t, files), { document: documentOf('there', 'gone', 'value', 'a.b') });
    assert.equal(await bundle.end, 1);
    assert.match(bundle.stderr, want);
  });
}
