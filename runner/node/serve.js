'use strict';

// Serves the bundle in the working folder to the Runner that started this process.

const fs = require('node:fs');
const { takeConsole, log, inspectOf } = require('./lib/log.js');
const { parse } = require('./lib/json.js');
const { operationsOf } = require('./lib/document.js');
const { load, functionOf, functionsOf } = require('./lib/load.js');
const { provide } = require('./lib/resolve.js');
const { Services } = require('./lib/services.js');
const { createServer } = require('./lib/server.js');
require('./index.js'); // registers what is built in

// grace is how long in milliseconds running requests may take at the end: the Runner
// kills after 10 s.
const grace = 9000;

async function main() {
  const { socket, port } = listenWhere();
  const props = propsOf(process.env.FUNCATRON_PROPS_FILE);
  const document = readJSON(process.env.FUNCATRON_SWAGGER_FILE, 'FUNCATRON_SWAGGER_FILE');
  provide();
  takeConsole();
  const find = finder(await load(process.cwd()), document);
  const services = new Services(props, log);
  const server = createServer({ find, props, services });
  endOnSignal(server, services);
  await listen(server, socket, port);
}

function listenWhere() {
  const { FUNCATRON_SOCKET: socket, PORT: port } = process.env;
  if (socket) return { socket };
  if (!port) {
    throw new Error(`this program serves a Func Bundle to a Funcatron Runner, which tells it where by FUNCATRON_SOCKET or PORT, and neither is set.
To serve the bundle in this folder without Funcatron: PORT=8081 node ${process.argv[1]}, and name the operation in the header X-Funcatron-Operation`);
  }
  if (!/^\d+$/.test(port) || Number(port) > 65535) throw new Error(`PORT: "${port}" is not a port`);
  return { port: Number(port) };
}

function readJSON(file, variable) {
  if (!file) return undefined;
  try {
    return parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    // What is in it may be secret, and a SyntaxError quotes it.
    throw new Error(`read ${variable}: ${error instanceof SyntaxError ? 'it is not JSON' : error.message}`);
  }
}

function propsOf(file) {
  const props = readJSON(file, 'FUNCATRON_PROPS_FILE') ?? {};
  if (typeof props !== 'object' || Array.isArray(props)) throw new Error('read FUNCATRON_PROPS_FILE: the properties are no JSON object');
  return freeze(props);
}

// freeze keeps one request from changing what all others see.
function freeze(value) {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

// finder gives operations by their names: those of the document, each of which must
// have a function; without a document whatever is exported.
function finder(module, document) {
  if (!document) {
    return (name) => {
      const run = functionOf(module, name);
      return run && { run, assumeJSON: true };
    };
  }
  const described = operationsOf(document);
  const functions = functionsOf(module, described.keys());
  const operations = new Map([...described].map(([name, operation]) => [name, { ...operation, run: functions.get(name) }]));
  return (name) => operations.get(name);
}

function listen(server, socket, port) {
  // A socket that is there belongs to a process that was killed: the Runner gives each
  // a folder of its own.
  if (socket && fs.lstatSync(socket, { throwIfNoEntry: false })?.isSocket()) fs.unlinkSync(socket);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket ? { path: socket } : { host: '127.0.0.1', port }, resolve);
  });
}

function endOnSignal(server, services) {
  let ending = false;
  const end = async () => {
    if (ending) process.exit(1); // somebody is tired of waiting
    ending = true;
    await server.drain(grace);
    await services.close();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
}

function crash(error, origin) {
  log.error(`${origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception'}: ${error?.message ?? inspectOf(error)}`, { stack: inspectOf(error) });
  process.exit(1);
}

function refuse(error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

main().then(() => process.on('uncaughtException', crash), refuse);
