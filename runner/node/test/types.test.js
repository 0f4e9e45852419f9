'use strict';

const fs = require('node:fs');
const { test } = require('node:test');
const assert = require('node:assert/strict');
const funcatron = require('../index.js');
const path = require('node:path');

// What is exported is what is declared. (The compiler checks the rest: see tsconfig.json.)
test('index.d.ts declares what there is', async () => {
  const text = fs.readFileSync(path.join(__dirname, '..', 'index.d.ts'), 'utf8');
  const declared = [...text.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(funcatron).sort());
  assert.deepEqual(Object.keys(await import('../index.mjs')).sort(), declared);
});
