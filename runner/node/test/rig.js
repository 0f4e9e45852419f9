'use strict';

// Starts bundles as the Runner does, and speaks to them as it does.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const serve = path.join(__dirname, '..', 'serve.js');

const requestId = 'db9d00abf61d9c67f4f0e755e96b8d0e';
const traceparent = `00-${requestId}-b7ad6b7169203331-01`;

/** folder makes a folder with these files, which goes when the test ends. */
function folder(t, files = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fn'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
  return dir;
}

/** documentOf is a Swagger document with these operations. */
function documentOf(...operations) {
  return { swagger: '2.0', paths: Object.fromEntries(operations.map((operationId) => [`/${operationId}`, { get: { operationId } }])) };
}

/** launch starts a bundle, and does not wait for it. */
function launch(t, dir, { props = {}, document, tcp } = {}) {
  const home = folder(t, { 'props.json': props, ...(document && { 'swagger.json': document }) });
  const socket = path.join(home, 's');
  const child = spawn(process.execPath, [serve], {
    cwd: dir,
    env: {
      PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', TMPDIR: home,
      ...(tcp ? { PORT: String(tcp) } : { FUNCATRON_SOCKET: socket }),
      FUNCATRON_PROPS_FILE: path.join(home, 'props.json'), FUNCATRON_SWAGGER_FILE: document ? path.join(home, 'swagger.json') : '',
      FUNCATRON_SHA: '0'.repeat(64), FUNCATRON_GIT_SHA: '', FUNCATRON_BASE_PATH: '/test', FUNCATRON_CONCURRENCY: '64',
    },
  });
  t.after(() => child.kill('SIGKILL'));
  return new Bundle(t, child, tcp ? { host: '127.0.0.1', port: tcp } : { socketPath: socket });
}

/** start starts a bundle and waits until it serves. */
async function start(t, dir, options) {
  const bundle = launch(t, dir, options);
  await until(async () => bundle.exited || (await accepts(bundle.at)));
  if (bundle.exited) throw new Error(`it ended: ${bundle.stderr}${bundle.stdout}`);
  return bundle;
}

function accepts({ socketPath, host, port }) {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath ?? { host, port });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** until waits for a condition, and fails after 20 s. */
async function until(condition, what = condition) {
  const end = performance.now() + 20000;
  for (;;) {
    if (await condition()) return;
    if (performance.now() > end) throw new Error(`it did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

class Bundle {
  stdout = '';
  stderr = '';
  exited = false;

  constructor(t, child, at) {
    this.child = child;
    this.at = at;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    t.after(() => this.agent.destroy());
    child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.end = once(child, 'close').then(([code, signal]) => {
      this.exited = true;
      return code ?? signal;
    });
  }

  /** lines are the log lines so far, those that are JSON as values. */
  get lines() {
    return this.stdout.split('\n').filter(Boolean).map((line) => (line.startsWith('{') ? JSON.parse(line) : line));
  }

  /** call sends a request as the Runner does, and gives {status, headers, body, json()}. */
  async call(operation, { method = 'GET', target = '/', params, timeout = 30000, headers = {}, body, signal } = {}) {
    const req = this.open(operation, { method, target, params, timeout, headers, signal });
    req.end(body);
    const [res] = await once(req, 'response');
    const chunks = [];
    for await (const chunk of res) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    return { status: res.statusCode, headers: res.headers, bytes, body: bytes.toString(), json: () => JSON.parse(bytes) };
  }

  /** open begins a request, and leaves its body to the caller. */
  open(operation, { method = 'POST', target = '/', params = {}, timeout = 30000, headers = {}, signal } = {}) {
    return http.request({
      ...this.at, agent: this.agent, method, path: target, signal,
      headers: {
        'X-Request-Id': requestId, traceparent, 'X-Funcatron-Operation': operation,
        'X-Funcatron-Params': typeof params === 'string' ? params : JSON.stringify(params), 'X-Funcatron-Timeout-Ms': timeout, ...headers,
      },
    });
  }

  /** post is call with a JSON body. */
  post(operation, body, options = {}) {
    return this.call(operation, { method: 'POST', ...options, headers: { 'Content-Type': 'application/json', ...options.headers }, body });
  }

  /** stop ends the process as the Runner does, and gives its exit code. */
  stop() {
    this.child.kill('SIGTERM');
    return this.end;
  }
}

module.exports = { folder, documentOf, launch, start, until, requestId, traceparent };
