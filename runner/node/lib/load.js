'use strict';

// From a bundle's folder to the functions in it.

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { inspectOf } = require('./log.js');

const defaults = ['index.mjs', 'index.js', 'index.cjs'];

/**
 * entryOf is the file of dir that is loaded: what package.json names by "exports",
 * "main" or "module", else index.mjs, index.js or index.cjs, else the only JavaScript
 * file there is. It throws where there is none.
 */
function entryOf(dir) {
  const named = namedEntry(dir);
  if (named) return named;
  const index = defaults.map((name) => path.join(dir, name)).find(isFile);
  if (index) return index;
  const files = fs.readdirSync(dir).filter((name) => /\.[mc]?js$/.test(name) && isFile(path.join(dir, name)));
  if (files.length === 1) return path.join(dir, files[0]);
  const found = files.length > 0 ? `, and more than one file to choose from (${files.join(', ')})` : '';
  throw new Error(`the bundle has no file to load: no "exports", "main" or "module" of a package.json that leads to one, no ${defaults.join(', ')}${found}`);
}

function namedEntry(dir) {
  const file = path.join(dir, 'package.json');
  if (!isFile(file)) return undefined;
  const { exports, main, module } = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (exports !== undefined) {
    // As for import, and where that leads nowhere as for require.
    const target = targetOf(exports, importing) ?? targetOf(exports, requiring);
    if (!target) throw new Error('package.json has "exports" that name no file for "."');
    const entry = path.join(dir, target);
    if (!isFile(entry)) throw new Error(`package.json names ${target} in "exports", which is not there`);
    return entry;
  }
  for (const name of [main, module]) {
    const entry = name && fileOf(path.join(dir, name));
    if (entry) return entry;
  }
}

const importing = new Set(['node', 'import', 'module-sync', 'default']);
const requiring = new Set(['node', 'require', 'module-sync', 'default']);

// targetOf is what "exports" gives for "." under these conditions.
function targetOf(exports, conditions) {
  if (typeof exports === 'string') return exports.startsWith('./') ? exports : undefined;
  if (Array.isArray(exports)) return firstOf(exports, (e) => targetOf(e, conditions));
  if (exports === null || typeof exports !== 'object') return undefined;
  if ('.' in exports) return targetOf(exports['.'], conditions);
  return firstOf(Object.entries(exports), ([condition, e]) => (conditions.has(condition) ? targetOf(e, conditions) : undefined));
}

function firstOf(list, f) {
  for (const item of list) {
    const value = f(item);
    if (value !== undefined) return value;
  }
}

// fileOf finds the file that "main" means, as require does.
function fileOf(name) {
  return [name, name + '.js', name + '.cjs', name + '.mjs', path.join(name, 'index.js')].find(isFile);
}

function isFile(name) {
  return fs.statSync(name, { throwIfNoEntry: false })?.isFile() ?? false;
}

/**
 * functionOf is the function that a module, as import() gives it, has under that name:
 * an export of that name, or a dotted path through what is exported, or either of
 * these below the default export. It is called with the object that it was found in
 * as this. undefined where there is none.
 */
function functionOf(module, name) {
  for (const root of [module, module.default]) {
    const found = asFunction(root, [name]) ?? asFunction(root, name.split('.'));
    if (found) return found;
  }
}

function asFunction(root, names) {
  let holder;
  let value = root;
  for (const name of names) {
    holder = value;
    value = memberOf(holder, name);
  }
  if (typeof value !== 'function') return undefined;
  return holder === root ? value : value.bind(holder);
}

// memberOf leaves out what every object and every function has: an operation called
// "toString" is not served by theirs.
function memberOf(holder, name) {
  if ((typeof holder !== 'object' && typeof holder !== 'function') || holder === null) return undefined;
  for (let o = holder; o !== null && o !== Object.prototype && o !== Function.prototype; o = Object.getPrototypeOf(o)) {
    if (Object.hasOwn(o, name)) return name === 'constructor' ? undefined : holder[name];
  }
}

/** load loads the bundle in dir and gives its module. Its errors are for people to read. */
async function load(dir) {
  const entry = entryOf(dir);
  try {
    return await import(pathToFileURL(entry).href);
  } catch (error) {
    throw new Error(`load ${path.relative(dir, entry)} of the bundle: ${inspectOf(error)}`);
  }
}

/** functionsOf is a Map of functions by the names of operations. It throws one error that says all that are missing. */
function functionsOf(module, names) {
  const functions = new Map();
  const missing = [];
  for (const name of names) {
    const f = functionOf(module, name);
    if (f) functions.set(name, f);
    else missing.push(name);
  }
  if (missing.length > 0) throw new Error(`the bundle exports no function for these operations of its Swagger document: ${missing.join(', ')} (it exports ${exportsOf(module)})`);
  return functions;
}

function exportsOf(module) {
  const names = Object.keys(module);
  const shown = names.slice(0, 50).join(', ') + (names.length > 50 ? ', ...' : '');
  return shown || 'nothing';
}

module.exports = { entryOf, functionOf, functionsOf, load };
