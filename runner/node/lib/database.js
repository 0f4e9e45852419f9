'use strict';

// Services of type "database": a transaction a request, on a driver that the bundle
// brings. Their properties:
//
//   url           what to open: postgres://..., mysql://..., file:/path; required
//   driver        a module of the list below; told from url, and from what is there, where it is not given
//   username, password  put into url, where that names a server
//   maxOpenConns  most connections to a server; the default is 10
//   busyTimeout   milliseconds to wait for another process's write in SQLite; the default is 5000
//   isolation     "read committed", "serializable", ...; the default is the database's
//   readOnly      true makes the transactions read-only

const { createRequire } = require('node:module');
const path = require('node:path');
const state = require('./state.js');
const { registerVendor } = require('./services.js');
const { inspectOf } = require('./log.js');
const sqlite = require('./sqlite.js');
const servers = require('./servers.js');

// schemes say which drivers open a URL: the first of them that is there is taken.
const schemes = {
  sqlite: ['better-sqlite3', '@photostructure/sqlite', 'node:sqlite', 'node-sqlite3-wasm'],
  postgres: ['pg'],
  mysql: ['mysql2'],
};

const open = {
  'better-sqlite3': sqlite.openBetter,
  '@photostructure/sqlite': sqlite.openNode,
  'node:sqlite': sqlite.openNode,
  'node-sqlite3-wasm': sqlite.openWasm,
  pg: servers.openPostgres,
  mysql2: servers.openMySQL,
};

/** registerDriver gives a driver that was bundled into one file, and so is in no node_modules. */
function registerDriver(name, module) {
  if (!(name in open)) throw new Error(`registerDriver of ${name}: it is none of ${Object.keys(open).join(', ')}`);
  state.drivers.set(name, module);
}

async function buildDatabase(name, props, log) {
  if (typeof props.url !== 'string' || props.url === '') throw new Error('its properties have no "url"');
  const [driver, module] = await driverOf(props);
  const source = await open[driver](module, props, (error) => log.warn(`service ${name}: connection lost`, { error: inspectOf(error) }));
  return new Database(source);
}

/** driverOf is the driver to use, and its module. */
async function driverOf(props) {
  const candidates = props.driver ? named(props.driver) : schemes[schemeOf(props.url)];
  for (const driver of candidates) {
    const module = await moduleOf(driver);
    if (module) return [driver, module];
  }
  throw new Error(`the bundle brings no driver for it: npm install ${candidates.filter((d) => !d.startsWith('node:')).join(' or ')}`);
}

function named(driver) {
  const list = schemes[driver] ?? (driver in open ? [driver] : undefined);
  if (!list) throw new Error(`its driver "${driver}" is none of ${[...Object.keys(schemes), ...Object.keys(open)].join(', ')}`);
  return list;
}

function schemeOf(url) {
  if (/^postgres(ql)?:/.test(url)) return 'postgres';
  if (/^(mysql|mariadb):/.test(url)) return 'mysql';
  if (/^(file|sqlite3?):/.test(url) || url === ':memory:' || !/^[a-z][a-z0-9+.-]+:/i.test(url)) return 'sqlite';
  throw new Error('its url is of a kind that no driver here opens: postgres://, mysql:// and file: are');
}

// moduleOf loads a driver as the bundle would; undefined where it is not there.
async function moduleOf(driver) {
  if (state.drivers.has(driver)) return state.drivers.get(driver);
  const require = createRequire(path.join(process.cwd(), 'package.json'));
  try {
    require.resolve(driver);
  } catch {
    return undefined;
  }
  const load = driver === 'mysql2' ? 'mysql2/promise' : driver;
  try {
    return require(load);
  } catch (error) {
    if (error.code === 'ERR_UNKNOWN_BUILTIN_MODULE') return undefined; // a Node without node:sqlite
    throw error;
  }
}

/** Database vends the transactions of a source: {begin(signal), close()}. */
class Database {
  #source;

  constructor(source) {
    this.#source = source;
  }

  async vend(ctx) {
    return new Transaction(await this.#source.begin(ctx.signal));
  }

  release(transaction, success) {
    return transaction.end(success);
  }

  close() {
    return this.#source.close();
  }
}


/** Transaction is what a function gets. connection is {query, execute, commit, rollback}. */
class Transaction {
  #connection;
  #over = false;

  constructor(connection) {
    this.#connection = connection;
  }

  /** query gives the rows. */
  async query(sql, params) {
    this.#check();
    return this.#connection.query(sql, params);
  }

  /** execute gives {changes, lastInsertId}. */
  async execute(sql, params) {
    this.#check();
    return this.#connection.execute(sql, params);
  }

  #check() {
    if (this.#over) throw new Error('the transaction is over: its request was answered, or ran out of time');
  }

  async end(success) {
    this.#check();
    this.#over = true;
    if (success) await this.#connection.commit();
    else await this.#connection.rollback();
  }
}

state.vendors.has('database') || registerVendor('database', buildDatabase);

module.exports = { registerDriver, schemeOf };
