'use strict';

// What there is once in a process, however many copies of the package a bundle brings
// along: the request that runs, and what was registered.

const { AsyncLocalStorage } = require('node:async_hooks');

const key = Symbol.for('funcatron.state');

module.exports = globalThis[key] ??= {
  requests: new AsyncLocalStorage(), // of Context
  vendors: new Map(), // builders of services by their type
  drivers: new Map(), // modules of database drivers by name, that are in no node_modules
};
