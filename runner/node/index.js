'use strict';

// The package is CommonJS, and index.mjs only names its exports: import and require
// give one and the same.

const { Reply, HTTPError } = require('./lib/answer.js');
const { log } = require('./lib/log.js');
const { registerVendor } = require('./lib/services.js');
const { registerDriver } = require('./lib/database.js');
const { parse, stringify } = require('./lib/json.js');

module.exports = { Reply, HTTPError, log, registerVendor, registerDriver, parse, stringify };
