'use strict';

// Serves the functions to the Runner: HTTP/1.1 over its socket.

const http = require('node:http');
const net = require('node:net');
const { requests } = require('./state.js');
const { parse } = require('./json.js');
const { bareType, isJSON } = require('./document.js');
const { requestIdOf } = require('./trace.js');
const { answerOf, toldOf, problemOf, HTTPError } = require('./answer.js');
const { Context } = require('./context.js');
const { Session } = require('./services.js');
const { log, inspectOf } = require('./log.js');

// maxHeader bounds a request's headers in bytes. X-Funcatron-Params holds a form's
// fields too, so it can be as long as a body.
const maxHeader = 64 << 20;

// maxTimeout is the longest time in milliseconds that is believed.
const maxTimeout = 24 * 3600 * 1000;

// current is where a socket has the call that is running on it.
const current = Symbol('call');

const noBody = Buffer.alloc(0);

/**
 * createServer makes the HTTP server of a host: {find(name), props, services}, where
 * find gives {run, assumeJSON} or undefined. server.drain(ms) stops listening, waits
 * for what runs, and then cuts off what is left.
 */
function createServer(host) {
  // Only the Runner speaks to it, and it keeps its connections: so none is closed for
  // being slow or idle.
  const server = http.createServer({
    maxHeaderSize: maxHeader, noDelay: true, requireHostHeader: false,
    keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0, connectionsCheckingInterval: 0x7fffffff,
  });
  server.timeout = 0;
  server.maxHeadersCount = 0;
  const running = { sockets: new Set(), calls: new Set(), draining: false };
  server.on('connection', (socket) => {
    running.sockets.add(socket);
    socket.on('close', () => {
      running.sockets.delete(socket);
      socket[current]?.cancel(new Error('the connection was closed'));
    });
  });
  server.on('request', (req, res) => {
    const call = new Call(host, req, res, running);
    req.socket[current] = call;
    running.calls.add(call);
    receive(call, req);
  });
  server.drain = (ms) => drain(server, running, ms);
  return server;
}

async function drain(server, running, ms) {
  const { calls, sockets } = running;
  running.draining = true;
  // Not http.Server's own close: it cuts off connections that still send an answer.
  const closed = new Promise((resolve) => net.Server.prototype.close.call(server, resolve));
  for (const socket of sockets) {
    if (!socket[current]) socket.destroySoon();
  }
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms, true);
  });
  const idle = (async () => {
    await closed;
    await Promise.all([...calls].map((call) => call.finished));
  })();
  if (await Promise.race([idle, late])) {
    if (calls.size > 0) log.warn('requests were still running when the process had to end', { count: calls.size });
    for (const call of calls) call.cancel(new Error('the process ends'));
  }
  clearTimeout(timer);
  server.closeAllConnections();
}

// receive reads the body whole, and runs the call then. The gateway has bounded it.
function receive(call, req) {
  if (req.headers['content-length'] === undefined && req.headers['transfer-encoding'] === undefined) {
    call.run();
    return;
  }
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    call.body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    call.run();
  });
  req.on('error', () => {}); // the connection's end is the call's
}

/** Call is one request on its way through. */
class Call {
  body = noBody;
  #running;
  #res;
  #deadline = Infinity;
  #timer;
  #inTime = false; // it has succeeded, and is no more to be late
  #abort; // AbortController, once somebody asks for the signal
  #over; // why nothing more is to come of it: an Error, or true when it was answered
  #stream; // iterator of the answer's body
  #session;
  #finished;
  #ctx;

  constructor(host, req, res, running) {
    this.host = host;
    this.req = req;
    this.#res = res;
    this.#running = running;
    const left = Number(this.header('x-funcatron-timeout-ms') ?? NaN);
    if (left >= 0) this.#deadline = performance.now() + Math.min(left, maxTimeout);
  }

  header(name) {
    return this.req.headers[name];
  }

  /** finished resolves when the call is answered, and has given back what it vended. */
  get finished() {
    return (this.#finished ??= defer()).promise;
  }

  remaining() {
    return Math.max(this.#deadline - performance.now(), 0);
  }

  get session() {
    return (this.#session ??= new Session(this.host.services));
  }

  get signal() {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#over) this.#abort.abort(this.#over === true ? new Error('the request was answered') : this.#over);
    }
    return this.#abort.signal;
  }

  run() {
    if (this.#over) return this.#finish();
    this.#ctx = new Context(this, this.header('x-funcatron-operation') ?? '', requestIdOf(this.header('x-request-id'), this.header('traceparent')));
    let result;
    try {
      const operation = this.#operation();
      const body = this.#bodyFor(operation);
      result = requests.run(this.#ctx, operation.run, this.#ctx, body);
    } catch (error) {
      return this.#fail(error);
    }
    if (typeof result?.then !== 'function') return this.#succeed(result);
    armSoon(this);
    result.then((value) => this.#succeed(value), (error) => this.#fail(error));
  }

  #operation() {
    const { operation } = this.#ctx;
    const found = this.host.find(operation);
    if (!found) throw new HTTPError(501, `this function bundle does not serve operation "${operation}"`);
    return found;
  }

  // bodyFor is the body as the function's argument.
  #bodyFor({ assumeJSON }) {
    if (this.body.length === 0) return undefined;
    const contentType = this.header('content-type') ?? '';
    if (contentType === '' ? assumeJSON : isJSON(contentType)) return parseBody(this.body);
    if (bareType(contentType).startsWith('text/')) return this.body.toString();
    return this.body;
  }

  /** arm sets the timer of the deadline, where that is still to come. */
  arm() {
    if (this.#deadline !== Infinity && !this.#inTime && !this.#over) this.#timer = setTimeout(() => this.#late(), this.remaining());
  }

  // cancel ends the call without an answer.
  cancel(reason) {
    if (this.#over === true) return;
    this.#end(reason);
    this.#stream?.return?.().catch?.(() => {});
    this.#res.destroy();
    this.#settle(false).finally(() => this.#finish());
  }

  // end is when nobody waits for the function any more.
  #end(reason) {
    this.#over = reason;
    clearTimeout(this.#timer);
    if (this.#abort && reason !== true) this.#abort.abort(reason);
  }

  // late answers for a function that is not done. What it vended is taken from it.
  #late() {
    requests.run(this.#ctx, log.error, 'the function ran out of time');
    if (this.#stream) return this.cancel(timeout()); // half an answer is none
    this.#end(timeout());
    const settled = this.#settle(false);
    this.#send(problemOf(504, 'the function ran out of time', this.#ctx.requestId));
    settled.finally(() => this.#finish());
  }

  #succeed(value) {
    let answer;
    try {
      answer = answerOf(value);
    } catch (error) {
      return this.#fail(error);
    }
    if (this.#over) return drop(answer);
    if (performance.now() >= this.#deadline) {
      drop(answer);
      return this.#late();
    }
    this.#inTime = true;
    clearTimeout(this.#timer);
    if (!this.#session?.used) return this.#deliver(answer);
    // Committed before the answer leaves, and without which it does not.
    this.#session.end(true).then(() => this.#deliver(answer), (error) => {
      drop(answer);
      this.#fail(error);
    });
  }

  #fail(error) {
    const told = toldOf(error);
    if (this.#over) {
      if (!told && error !== this.#over && error?.name !== 'AbortError') this.#report(error);
      return;
    }
    this.#end(true);
    const answer = told
      ? problemOf(told.status, told.message, this.#ctx.requestId, told.headers)
      : problemOf(500, 'the function failed; its log says why, under this requestId', this.#ctx.requestId);
    if (!told || told.status >= 500) this.#report(error);
    this.#settle(false).finally(() => {
      this.#send(answer);
      this.#finish();
    });
  }

  #report(error) {
    const message = error instanceof Error ? error.message : inspectOf(error);
    requests.run(this.#ctx, log.error, `function failed: ${message}`, { stack: inspectOf(error) });
  }

  // settle gives back what was vended. It never throws.
  async #settle(success) {
    try {
      await this.#session?.end(success);
    } catch (error) {
      this.#report(error);
    }
  }

  #deliver(answer) {
    if (this.#over) return drop(answer);
    if (answer.stream) {
      requests.run(this.#ctx, () => this.#deliverStream(answer));
      return;
    }
    this.#end(true);
    this.#send(answer);
    this.#finish();
  }

  // deliverStream reads the first piece before the status leaves: an error up to there
  // is still a 500.
  async #deliverStream(answer) {
    this.#stream = answer.stream;
    this.#inTime = false; // it has to be sent in time as well
    this.arm();
    try {
      const first = await this.#stream.next();
      if (this.#over) return;
      if (first.done) this.#send({ ...answer, body: '' });
      else if (!(await this.#pipe(answer, first.value))) return;
    } catch (error) {
      this.#stream = undefined;
      if (this.#over) return;
      if (!this.#res.headersSent) return this.#fail(error);
      log.error('answer broken off', { error: inspectOf(error) });
      return this.cancel(error);
    }
    this.#end(true);
    this.#finish();
  }

  // pipe says whether all was sent.
  async #pipe(answer, first) {
    const res = this.#res;
    const { status, headers } = headOf(answer, undefined);
    res.writeHead(status, headers);
    if (bodiless(this.req.method, status)) {
      await this.#stream.return?.();
      res.end();
      return true;
    }
    for (let piece = { value: first, done: false }; !piece.done; piece = await this.#stream.next()) {
      if (this.#over) return false;
      if (!res.write(piece.value)) await writable(res);
    }
    if (this.#over) return false;
    res.end();
    return true;
  }

  #send(answer) {
    const res = this.#res;
    if (res.destroyed) return;
    const body = answer.body ?? '';
    const { status, headers } = headOf(answer, body, this.req.method);
    res.writeHead(status, headers);
    if (bodiless(this.req.method, status)) res.end();
    else res.end(body);
  }

  #finish() {
    const { socket } = this.req;
    if (socket[current] === this) socket[current] = undefined;
    this.#running.calls.delete(this);
    if (this.#running.draining) socket.destroySoon(); // when all is sent
    this.#finished?.resolve();
  }
}

// Most functions that promise an answer have it before anything else happens, so
// timers are set only when that has not come about.
const unarmed = [];

function armSoon(call) {
  if (unarmed.push(call) === 1) setImmediate(armAll);
}

function armAll() {
  for (const call of unarmed.splice(0)) call.arm();
}

function timeout() {
  return new DOMException('the request ran out of time', 'TimeoutError');
}

function parseBody(body) {
  try {
    return parse(body.toString());
  } catch (error) {
    throw new HTTPError(400, `the body is not JSON: ${error.message}`);
  }
}

// headOf is the status and headers of an answer. Without a body it is sent in chunks.
function headOf({ status, headers, type }, body, method) {
  if (status === 204 || status === 304) return { status, headers: without(headers, 'content-length') };
  if (headers.length === 0 && type !== undefined && typeof body === 'string' && body !== '') {
    return { status, headers: ['Content-Type', type, 'Content-Length', String(Buffer.byteLength(body))] }; // most are so
  }
  const head = [...headers];
  if (type !== undefined && body?.length !== 0 && !names(head, 'content-type')) head.push('Content-Type', type);
  // To HEAD, a function may name a length without making the body.
  if (method === 'HEAD' && body?.length === 0 && names(head, 'content-length')) return { status, headers: head };
  const rest = without(head, 'content-length');
  if (body !== undefined) rest.push('Content-Length', String(Buffer.byteLength(body)));
  return { status, headers: rest };
}

function names(headers, name) {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].length === name.length && headers[i].toLowerCase() === name) return true;
  }
  return false;
}

function without(headers, name) {
  if (!names(headers, name)) return headers;
  const rest = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].toLowerCase() !== name) rest.push(headers[i], headers[i + 1]);
  }
  return rest;
}

function bodiless(method, status) {
  return method === 'HEAD' || status === 204 || status === 304;
}

// drop ends the stream of an answer that is not sent.
function drop(answer) {
  answer.stream?.return?.()?.catch?.(() => {});
}

// writable resolves when res takes more, or takes nothing any more.
function writable(res) {
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
    if (res.destroyed) done();
  });
}

function defer() {
  let resolve;
  const promise = new Promise((r) => {
    resolve = r;
  });
  return { promise, resolve };
}

module.exports = { createServer };
