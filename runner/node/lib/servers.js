'use strict';

// Databases that are servers: a pool of connections, of which a transaction takes one.

const { exactInteger } = require('./json.js');

function openPostgres({ Pool, types }, props, lost) {
  const start = [`BEGIN${isolationOf(props)}${props.readOnly ? ' READ ONLY' : ''}`];
  const pool = new Pool({ connectionString: withLogin(props), max: props.maxOpenConns ?? 10 });
  pool.on('error', lost); // an idle connection's: the pool has dropped it
  const getTypeParser = (oid, format) => (oid === 20 && format !== 'binary' ? exactInteger : types.getTypeParser(oid, format));
  return {
    begin: (signal) =>
      beginOn({
        connect: () => pool.connect(),
        run: (client, sql) => client.query(sql),
        start,
        query: async (client, text, values) => (await client.query({ text, values, types: { getTypeParser } })).rows,
        execute: async (client, text, values) => ({ changes: (await client.query({ text, values, types: { getTypeParser } })).rowCount }),
        free: (client) => client.release(),
        drop: (client) => client.release(true),
        committed: (result) => result?.command !== 'ROLLBACK', // COMMIT of a failed transaction rolls it back
      }, signal),
    close: () => pool.end(),
  };
}

function openMySQL({ createPool }, props) {
  const typeCast = (field, next) => {
    if (field.type !== 'LONGLONG') return next();
    const digits = field.string();
    return digits === null ? null : exactInteger(digits);
  };
  const isolation = isolationOf(props);
  const start = [...(isolation ? [`SET TRANSACTION${isolation}`] : []), `START TRANSACTION${props.readOnly ? ' READ ONLY' : ''}`];
  const pool = createPool({ uri: withLogin(props), connectionLimit: props.maxOpenConns ?? 10, supportBigNumbers: true });
  return {
    begin: (signal) =>
      beginOn({
        connect: () => pool.getConnection(),
        run: (connection, sql) => connection.query(sql),
        start,
        query: async (connection, sql, values) => (await connection.query({ sql, values, typeCast }))[0],
        async execute(connection, sql, values) {
          const [result] = await connection.query({ sql, values, typeCast });
          return { changes: result.affectedRows, lastInsertId: result.insertId };
        },
        free: (connection) => connection.release(),
        drop: (connection) => connection.destroy(),
        committed: () => true,
      }, signal),
    close: () => pool.end(),
  };
}

// beginOn starts a transaction. Whatever does not end well takes its connection along:
// the server then undoes what was open on it.
async function beginOn(driver, signal) {
  const connection = await connect(driver, signal);
  let running = 0; // statements
  const counted = async (statement) => {
    running++;
    try {
      return await statement;
    } finally {
      running--;
    }
  };
  const finish = async (sql) => {
    try {
      const result = await driver.run(connection, sql);
      driver.free(connection);
      return result;
    } catch (error) {
      driver.drop(connection);
      throw error;
    }
  };
  try {
    for (const sql of driver.start) await driver.run(connection, sql);
  } catch (error) {
    driver.drop(connection);
    throw error;
  }
  return {
    query: (sql, values) => counted(driver.query(connection, sql, values)),
    execute: (sql, values) => counted(driver.execute(connection, sql, values)),
    async commit() {
      if (running > 0) {
        driver.drop(connection);
        throw new Error(`the function returned while ${running} of its statements were running: await them`);
      }
      if (!driver.committed(await finish('COMMIT'))) throw new Error('a statement had failed, so the database rolled the transaction back');
    },
    async rollback() {
      if (running > 0) driver.drop(connection); // a rollback would wait for them
      else await finish('ROLLBACK');
    },
  };
}

// connect waits for a connection until signal. One that comes later goes back at once.
async function connect(driver, signal) {
  signal.throwIfAborted();
  const connecting = driver.connect();
  let stop;
  const aborted = new Promise((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([connecting, aborted]);
  } catch (error) {
    connecting.then(driver.free, () => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

// withLogin puts a user and password that are given apart into the URL.
function withLogin({ url, username, password }) {
  if (!username && !password) return url;
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    throw new Error('its url cannot be read'); // the error itself quotes the URL, and with it a password
  }
  if (username) parsed.username = encodeURIComponent(username);
  if (password) parsed.password = encodeURIComponent(password);
  return parsed.href;
}

const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'];

function isolationOf({ isolation }) {
  if (!isolation) return '';
  const level = String(isolation).toLowerCase().replace(/[_-]/g, ' ');
  if (!levels.includes(level)) throw new Error(`its isolation "${isolation}" is none of ${levels.join(', ')}`);
  return ` ISOLATION LEVEL ${level.toUpperCase()}`;
}

module.exports = { openPostgres, openMySQL };
