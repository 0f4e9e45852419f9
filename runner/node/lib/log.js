'use strict';

// Log lines as the Runner reads them: one JSON object a line on stdout.

const { format, inspect } = require('node:util');
const { requests } = require('./state.js');
const { stringify } = require('./json.js');

// maxLine is the longest line in bytes. The Runner cuts lines at 64 KiB, and a cut one
// is no JSON any more.
const maxLine = 60 << 10;

// reserved are the members that the Runner reads itself. All others follow the message
// as key=value.
const reserved = new Set(['level', 'msg', 'op', 'req', 'time']);

/** write writes one line. Of ctx, if there is one, come its operation and REQ id. */
function write(level, message, fields, ctx) {
  const line = { level, msg: typeof message === 'string' ? message : inspectOf(message) };
  if (ctx) {
    line.op = ctx.operation;
    line.req = ctx.requestId;
  }
  let text = encode(fields ? { ...line, ...members(fields) } : line);
  if (text.length > maxLine / 3 && Buffer.byteLength(text) > maxLine) text = shorten(line, Buffer.byteLength(text));
  process.stdout.write(text + '\n');
}

/** members are what of a caller's fields goes into a line: with names of their own, and errors with their stacks. */
function members(fields) {
  if (fields instanceof Error) return { error: fields.message, stack: inspectOf(fields) };
  if (typeof fields !== 'object') return { value: fields };
  const line = {};
  for (const [name, value] of Object.entries(fields)) {
    line[reserved.has(name) ? name + '_' : name] = value instanceof Error ? inspectOf(value) : value;
  }
  return line;
}

// encode never fails: a log line must not fail its function.
function encode(line) {
  try {
    return stringify(line);
  } catch {
    const shown = Object.entries(line).map(([name, value]) => [name, typeof value === 'object' ? inspectOf(value) : String(value)]);
    return stringify(Object.fromEntries(shown));
  }
}

// shorten makes a line that is too long a short one that still says which request it
// belongs to. cut is the bytes of the whole line.
function shorten(line, cut) {
  const room = maxLine / 8; // one character is six bytes at most
  return stringify({ ...line, msg: line.msg.slice(0, room), op: line.op?.slice(0, 1024), req: line.req?.slice(0, 1024), cut });
}

function inspectOf(value) {
  try {
    return inspect(value, { depth: 4 }).slice(0, 16 << 10);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** loggerOf writes the lines of what current gives, a Context or undefined. */
function loggerOf(current) {
  return Object.freeze({
    debug: (message, fields) => write('DEBUG', message, fields, current()),
    info: (message, fields) => write('INFO', message, fields, current()),
    warn: (message, fields) => write('WARN', message, fields, current()),
    error: (message, fields) => write('ERROR', message, fields, current()),
  });
}

const log = loggerOf(() => requests.getStore());

/** takeConsole makes console.* write log lines. What prints by itself, such as process.stdout.write, still does. */
function takeConsole() {
  const to = (level) => (...args) => write(level, format(...args), undefined, requests.getStore());
  Object.assign(console, {
    log: to('INFO'), info: to('INFO'), debug: to('DEBUG'), warn: to('WARN'), error: to('ERROR'),
    dir: (value, options) => log.info(inspect(value, options)),
    dirxml: to('INFO'),
    trace(...args) {
      const at = new Error(format(...args));
      at.name = 'Trace';
      Error.captureStackTrace(at, console.trace);
      log.debug(at.stack);
    },
  });
}

module.exports = { log, loggerOf, inspectOf, takeConsole };
