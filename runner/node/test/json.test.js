'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { parse, stringify } = require('../lib/json.js');

/** random draws the same numbers each time, from 0 up to n. */
function randomOf(seed) {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

test('integers keep their digits', () => {
  for (const [text, want] of [
    ['9007199254740991', 9007199254740991], ['-9007199254740991', -9007199254740991],
    ['9007199254740992', 9007199254740992n], ['9007199254740993', 9007199254740993n], ['-9007199254740993', -9007199254740993n],
    ['9223372036854775807', 9223372036854775807n], ['-9223372036854775808', -9223372036854775808n],
    ['123456789012345678901234567890', 123456789012345678901234567890n],
    [' 9007199254740993\n', 9007199254740993n], ['[1,9007199254740993]', [1, 9007199254740993n]],
    ['{"a":9007199254740993,"b":{"c":[ 9007199254740993 ]}}', { a: 9007199254740993n, b: { c: [9007199254740993n] } }],
  ]) {
    assert.deepEqual(parse(text), want, text);
  }
});

test('other numbers are numbers', () => {
  for (const text of ['0.1', '1e400', '100000000000000000000.0', '1e20', '12345678901234567890e-1', '0.12345678901234567890', '-0', '1E+3', '5e-324', '[12345678901234567890.5,9007199254740993e0]']) {
    assert.deepEqual(parse(text), JSON.parse(text), text);
  }
});

test('what is no JSON is refused as JSON.parse refuses it', () => {
  for (const text of ['', ' ', '{', '[9007199254740993', '[9007199254740993,]', '09007199254740993', '{"a":9007199254740993 "b":1}', '9007199254740993 1', '{9007199254740993:1}', '"9007199254740993', '\ufeff9007199254740993']) {
    assert.throws(() => parse(text), SyntaxError, text);
  }
});

test('a member called __proto__ is a member', () => {
  const value = parse('{"__proto__":{"a":9007199254740993},"b":1}');
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.keys(value), ['__proto__', 'b']);
  assert.equal(value.a, undefined);
});

test('nesting is no matter of the stack', () => {
  const depth = 100_000;
  let value = parse('['.repeat(depth) + '9007199254740993' + ']'.repeat(depth));
  for (let i = 0; i < depth; i++) [value] = value;
  assert.equal(value, 9007199254740993n);
});

test('BigInts are written as integers', () => {
  for (const [value, want] of [
    [9223372036854775807n, '9223372036854775807'], [{ a: [1n, -9223372036854775808n], b: '1n', c: undefined }, '{"a":[1,-9223372036854775808],"b":"1n"}'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'], [{ at: new Date(0), n: 1n }, '{"at":"1970-01-01T00:00:00.000Z","n":1}'], [undefined, undefined], [[undefined, 1n], '[null,1]'],
  ]) {
    assert.equal(stringify(value), want);
  }
  const circle = { n: 1n };
  circle.circle = circle;
  assert.throws(() => stringify(circle), TypeError);
  const plain = {};
  plain.circle = plain;
  assert.throws(() => stringify(plain), TypeError);
});

// valueText writes a random JSON text, with white space where it may be.
function valueText(random, depth, integers) {
  const space = () => ['', '', '', ' ', '\n', '\t\r '][random(6)];
  const many = (make) => Array.from({ length: random(4) }, make).join(`${space()},${space()}`);
  const value = () => valueText(random, depth - 1, integers);
  const member = () => `${nameText(random)}${space()}:${space()}${value()}`;
  switch (depth > 0 ? random(9) : random(6)) {
    case 0: return ['true', 'false', 'null'][random(3)];
    case 1: return stringText(random);
    case 2: case 3: return integers(random);
    case 4: return `${random(2) ? '-' : ''}${random(1e6)}.${random(1e9)}${random(1e9)}${random(2) ? `e${random(40) - 20}` : ''}`;
    case 5: return `${random(1e9) + 1}${random(1e9)}E+${random(30)}`;
    case 6: case 7: return `{${space()}${many(member)}${space()}}`;
    default: return `[${space()}${many(value)}${space()}]`;
  }
}

// nameText has no backslash in it: where an object had one, JSON.parse of Node 24 takes
// it in the names of later objects for that of an escape, and reads "\n" as "\\".
function nameText(random) {
  return stringText(random).replaceAll('\\\\', '/');
}

function stringText(random) {
  const parts = ['a', 'key', '9007199254740993', ',12345678901234567890', ': 12345678901234567890', '\\"', '\\\\', '\\\\\\"', '\\u0041', '\\ud83d\\ude80', '世', '🚀', '\\n', '{', ']', '__proto__', '\u2028'];
  return `"${Array.from({ length: random(4) }, () => parts[random(parts.length)]).join('')}"`;
}

test('parse is JSON.parse where there are no long integers', () => {
  const random = randomOf(1);
  for (let i = 0; i < 20000; i++) {
    const text = valueText(random, 4, (r) => `${r(2) ? '-' : ''}${r(2) ? 1000000000000000 + r(1e9) : r(100)}`);
    assert.deepEqual(parse(text), JSON.parse(text), text);
  }
});

test('parse and stringify keep every digit', () => {
  const random = randomOf(2);
  const long = (r) => `${r(2) ? '-' : ''}${1 + r(9)}${Array.from({ length: 15 + r(10) }, () => r(10)).join('')}`;
  for (let i = 0; i < 20000; i++) {
    const text = valueText(random, 4, long);
    // The same with each integer a string is JSON.parse's to read.
    const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => (/^-?\d{16,}$/.test(token) ? `"#${token}"` : token));
    const want = JSON.parse(quoted, (_, v) => (typeof v === 'string' && v.startsWith('#') ? numberOf(v.slice(1)) : v));
    assert.deepEqual(parse(text), want, text);
    // Integers is what a float beyond 2^53 is written as, up to 1e21.
    assert.deepEqual(parse(stringify(want)), integers(want), text);
  }
});

function integers(value) {
  if (Array.isArray(value)) return value.map(integers);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, integers(v)]));
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21 ? BigInt(String(value)) : value;
}

function numberOf(digits) {
  const n = BigInt(digits);
  return n >= Number.MIN_SAFE_INTEGER && n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
}

test('garbage is refused, or read, as JSON.parse does', () => {
  const random = randomOf(3);
  for (let i = 0; i < 20000; i++) {
    const text = valueText(random, 3, () => '12345678901234567890');
    const at = random(text.length + 1);
    const broken = text.slice(0, at) + '{}[],:"\\-+e.0 x'[random(15)] + text.slice(at + random(2));
    let valid = true;
    try {
      JSON.parse(broken);
    } catch {
      valid = false;
    }
    if (valid) assert.doesNotThrow(() => parse(broken), broken);
    else assert.throws(() => parse(broken), SyntaxError, broken);
  }
});
