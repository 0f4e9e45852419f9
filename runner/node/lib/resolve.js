'use strict';

// Lets a bundle that brings no package funcatron along have this one, by import and
// by require. What the bundle brings wins.

const module_ = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const name = 'funcatron';
const commonJS = path.join(__dirname, '..', 'index.js');

function provide() {
  const resolveFilename = module_._resolveFilename;
  module_._resolveFilename = function (request, ...rest) {
    try {
      return resolveFilename.call(this, request, ...rest);
    } catch (error) {
      if (request === name && error.code === 'MODULE_NOT_FOUND') return commonJS;
      throw error;
    }
  };
  // Hooks in the thread itself (Node 22.15) cost no thread of their own.
  if (module_.registerHooks) module_.registerHooks({ resolve });
  else module_.register?.(pathToFileURL(path.join(__dirname, 'hooks.mjs')));
}

function resolve(specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (specifier !== name || !/MODULE_NOT_FOUND$/.test(error.code)) throw error;
    const required = context.conditions?.includes('require');
    const file = required ? commonJS : path.join(__dirname, '..', 'index.mjs');
    return { url: pathToFileURL(file).href, format: required ? 'commonjs' : 'module', shortCircuit: true };
  }
}

module.exports = { provide };
