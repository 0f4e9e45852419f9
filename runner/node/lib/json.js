'use strict';

// JSON in which integers keep all their digits: a number where a number can hold
// them, and a BigInt where it cannot. Everything else is as JSON.parse and
// JSON.stringify have it.

const { randomBytes } = require('node:crypto');

// longInteger finds what may be an integer of 16 digits or more. What it finds may be
// a fraction, or inside a string, and costs time then, no more.
const longInteger = /(?:^|[[,:\s-])\d{16}/;

/** parse reads JSON. It throws a SyntaxError as JSON.parse does. */
function parse(text) {
  const value = JSON.parse(text);
  return text.length > 15 && longInteger.test(text) ? parseValid(text) : value;
}

/** exactInteger is the integer that digits write. */
function exactInteger(digits) {
  const n = Number(digits);
  return Number.isSafeInteger(n) ? n : BigInt(digits);
}

const none = Symbol('no name yet');

// parseValid reads text that is known to be JSON, so that commas and colons can be
// skipped like white space. It keeps its own stack: JSON may be nested deeper than
// functions can be.
function parseValid(text) {
  const open = []; // [container, name that its next value goes by], the outermost first
  let container; // the innermost one that is not ended
  let name = none;
  for (let at = 0; at < text.length; ) {
    let value;
    const c = text[at];
    switch (c) {
      case ' ': case '\n': case '\r': case '\t': case ',': case ':':
        at++;
        continue;
      case '{': case '[':
        open.push([container, name]);
        container = c === '{' ? {} : [];
        name = none;
        at++;
        continue;
      case '}': case ']':
        value = container;
        [container, name] = open.pop();
        at++;
        break;
      case '"': {
        const end = endOfString(text, at);
        value = stringOf(text, at, end);
        at = end;
        if (name === none && container !== undefined && !Array.isArray(container)) {
          name = value;
          continue;
        }
        break;
      }
      case 't': value = true; at += 4; break;
      case 'f': value = false; at += 5; break;
      case 'n': value = null; at += 4; break;
      default: {
        const end = endOfNumber(text, at);
        value = numberOf(text.slice(at, end));
        at = end;
      }
    }
    if (container === undefined) return value;
    put(container, name, value);
    name = none;
  }
  throw new Error('BUG: text that JSON.parse took for JSON is none');
}

function put(container, name, value) {
  if (name === none) container.push(value);
  else if (name === '__proto__') Object.defineProperty(container, name, { value, writable: true, enumerable: true, configurable: true });
  else container[name] = value;
}

// endOfString is where the string that begins at start has ended.
function endOfString(text, start) {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let escapes = quote;
    while (text[escapes - 1] === '\\') escapes--;
    if ((quote - escapes) % 2 === 0) return quote + 1;
  }
}

function stringOf(text, start, end) {
  const inside = text.slice(start + 1, end - 1);
  return inside.includes('\\') ? JSON.parse(text.slice(start, end)) : inside;
}

function endOfNumber(text, start) {
  let end = start + 1;
  while (end < text.length && '0123456789.eE+-'.includes(text[end])) end++;
  return end;
}

// maxDigits bounds the integers that are kept exactly: to read one takes more than
// linear time, and nobody means one that is longer.
const maxDigits = 4096;

function numberOf(digits) {
  return digits.length > 15 && digits.length <= maxDigits && /^-?\d+$/.test(digits) ? exactInteger(digits) : Number(digits);
}

// A BigInt is written as a string with this mark, which is then taken off again,
// together with the quotes. Nobody else knows it, so no text can hold it.
const mark = `${randomBytes(16).toString('hex')}:`;
const marked = new RegExp(`"${mark}(-?\\d+)"`, 'g');

/** stringify writes value as JSON, BigInts as integers; undefined where there is no JSON for value. */
function stringify(value) {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError && /BigInt/.test(error.message))) throw error;
  }
  const text = JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? mark + v : v));
  return text?.replace(marked, '$1');
}

module.exports = { parse, stringify, exactInteger };
