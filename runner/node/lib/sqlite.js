'use strict';

// SQLite. Its drivers work synchronously, so one connection is all that a process can
// use: transactions queue for it. They begin IMMEDIATE: SQLite lets one process write
// at a time, and whoever read first and wants to write then may be refused.

const { setTimeout: delay } = require('node:timers/promises');
const { exactInteger } = require('./json.js');

/**
 * fileOf is the file that a URL means, and whether it is only read: file:/path,
 * file:///path, sqlite:///path, a plain path, or :memory:. "?mode=ro" is read-only.
 */
function fileOf(url) {
  const [, scheme, rest] = /^(?:(file|sqlite3?):)?(.*)$/s.exec(url);
  if (!scheme) return { file: rest, readOnly: false };
  const [location, query = ''] = rest.split('?', 2);
  const readOnly = new URLSearchParams(query).get('mode') === 'ro';
  const file = decodeURIComponent(location.replace(/^\/\/(localhost)?(?=\/)/, ''));
  return { file, readOnly };
}

// The drivers differ in how they open, prepare and number; rows and changes are
// alike. Each gives {exec(sql), all(sql, params), run(sql, params), inTransaction(), isBusy(error), close()}.

function openBetter(Driver, props) {
  const { file, readOnly } = settings(props);
  const db = new Driver(file, { readonly: readOnly, timeout: 0 });
  db.defaultSafeIntegers(true);
  const statement = cache((sql) => db.prepare(sql));
  return sourceOf(props, {
    exec: (sql) => db.exec(sql),
    all(sql, params) {
      const s = statement(sql);
      if (s.reader) return s.all(...params);
      s.run(...params);
      return [];
    },
    run(sql, params) {
      const s = statement(sql);
      return s.reader ? { changes: s.all(...params).length } : s.run(...params);
    },
    inTransaction: () => db.inTransaction,
    isBusy: (error) => /^SQLITE_(BUSY|LOCKED)/.test(error.code),
    close: () => db.close(),
  });
}

function openNode({ DatabaseSync }, props) {
  const { file, readOnly } = settings(props);
  const db = new DatabaseSync(file, { readOnly, timeout: 0 });
  const statement = cache((sql) => {
    const s = db.prepare(sql);
    s.setReadBigInts(true);
    return s;
  });
  return sourceOf(props, {
    exec: (sql) => db.exec(sql),
    all: (sql, params) => statement(sql).all(...params),
    run: (sql, params) => statement(sql).run(...params),
    inTransaction: () => db.isTransaction, // undefined before Node 22.16
    isBusy: (error) => (error.errcode & 0xff) === 5 || (error.errcode & 0xff) === 6,
    close: () => db.close(),
  });
}

// Of this one it is to be known that it locks by a folder beside the file, which a
// process that is killed leaves behind.
function openWasm({ Database }, props) {
  const { file, readOnly } = settings(props);
  const db = new Database(file, { readOnly });
  const bound = (params) => (params.length === 1 && isNamed(params[0]) ? params[0] : params);
  return sourceOf(props, {
    exec: (sql) => db.exec(sql),
    all: (sql, params) => db.all(sql, bound(params)),
    run(sql, params) {
      const { changes, lastInsertRowId } = db.run(sql, bound(params));
      return { changes, lastInsertRowid: lastInsertRowId };
    },
    inTransaction: () => db.inTransaction,
    isBusy: (error) => /\b(database (table )?is locked|busy)\b/.test(error.message),
    close: () => db.close(),
  });
}

function settings(props) {
  const { file, readOnly } = fileOf(props.url);
  return { file, readOnly: readOnly || props.readOnly === true };
}

// cache keeps the statements used last: to prepare one costs more than to run it.
function cache(prepare) {
  const kept = new Map();
  return (sql) => {
    let statement = kept.get(sql);
    if (statement) kept.delete(sql);
    else statement = prepare(sql);
    kept.set(sql, statement);
    if (kept.size > 100) kept.delete(kept.keys().next().value);
    return statement;
  };
}

/** sourceOf gives the transactions of a database one after the other. */
function sourceOf(props, db) {
  const begin = settings(props).readOnly ? 'BEGIN' : 'BEGIN IMMEDIATE';
  const patience = props.busyTimeout ?? 5000;
  const turn = new Turn();
  return {
    async begin(signal) {
      await turn.take(signal);
      try {
        await whileBusy(db, begin, patience, signal);
      } catch (error) {
        turn.pass();
        throw error;
      }
      return connectionOf(db, patience, turn);
    },
    close: () => db.close(),
  };
}

function connectionOf(db, patience, turn) {
  const inTransaction = () => db.inTransaction() !== false;
  const rollback = () => {
    if (inTransaction()) db.exec('ROLLBACK'); // an error, such as a full disk, may have ended it
  };
  return {
    query: (sql, params) => db.all(sql, bind(params)).map(row),
    execute(sql, params) {
      const { changes, lastInsertRowid } = db.run(sql, bind(params));
      return { changes: Number(changes), lastInsertId: shorten(lastInsertRowid) };
    },
    async commit() {
      try {
        if (!inTransaction()) throw new Error('the function, or an error, ended the transaction: nobody could say whether what came after was kept');
        await whileBusy(db, 'COMMIT', patience); // readers in other processes may hold it up
      } catch (error) {
        rollback();
        throw error;
      } finally {
        turn.pass();
      }
    },
    async rollback() {
      try {
        rollback();
      } finally {
        turn.pass();
      }
    },
  };
}

// whileBusy tries again while another process has the database. It does not let SQLite
// wait itself: that would hold up all other requests.
async function whileBusy(db, sql, patience, signal) {
  const until = performance.now() + patience;
  for (;;) {
    try {
      db.exec(sql);
      return;
    } catch (error) {
      if (!db.isBusy(error) || performance.now() > until) throw error;
    }
    await delay(1 + Math.random() * 10, undefined, { signal });
  }
}

/** Turn is had by one at a time, in the order of asking. */
class Turn {
  #taken = false;
  #waiting = new Set(); // functions that hand it over, in their order

  async take(signal) {
    signal?.throwIfAborted();
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    await new Promise((resolve, reject) => {
      const hand = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.delete(hand);
        reject(signal.reason);
      };
      this.#waiting.add(hand);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  pass() {
    const [next] = this.#waiting;
    this.#taken = next !== undefined;
    this.#waiting.delete(next);
    next?.();
  }
}

// bind makes arguments for a statement: a list's values, or an object of named ones.
function bind(params = []) {
  if (Array.isArray(params)) return params.map(value);
  return [Object.fromEntries(Object.entries(params).map(([name, v]) => [name, value(v)]))];
}

function isNamed(param) {
  return typeof param === 'object' && param !== null && !ArrayBuffer.isView(param);
}

// value is v as SQLite stores it.
function value(v) {
  if (v === undefined) return null;
  if (typeof v === 'boolean') return v ? 1 : 0;
  if (v instanceof Date) return v.toISOString();
  return v;
}

// row makes numbers of the integers that numbers can hold.
function row(r) {
  const made = {};
  for (const name of Object.keys(r)) made[name] = shorten(r[name]);
  return made;
}

function shorten(v) {
  return typeof v === 'bigint' ? exactInteger(v) : v;
}

module.exports = { openBetter, openNode, openWasm, fileOf, Turn };
