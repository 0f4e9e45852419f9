'use strict';

// From what a function returned or threw to what is sent.

const http = require('node:http');
const { stringify } = require('./json.js');

// Brands, and not instanceof: a bundle may bring another copy of the package.
const isReply = Symbol.for('funcatron.Reply');

/** Reply is an answer in full: its body as if it were returned itself, with status and headers. */
class Reply {
  constructor(body, { status = 200, headers } = {}) {
    this.body = body;
    this.status = status;
    this.headers = headers;
  }

  get [isReply]() {
    return true;
  }
}

/** HTTPError is an error that says how it is answered. The client is told its message. */
class HTTPError extends Error {
  constructor(status, message = '', { headers, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HTTPError';
    this.status = status >= 400 && status <= 599 ? status : 500;
    this.expose = true;
    this.headers = headers;
  }
}

/**
 * answerOf is {status, headers, type, body, stream} of what a function returned:
 * headers as a flat list without those of the connection, type the Content-Type where
 * headers have none, body a string or bytes, or stream an iterator of these. It throws
 * where value cannot be sent.
 */
function answerOf(value) {
  if (value === undefined || value === null) return { status: 204, headers: [] };
  if (value[isReply]) return whole(contentOf(value.body), value.status, value.headers);
  if (Object.prototype.toString.call(value) === '[object Response]') return ofResponse(value);
  return whole(contentOf(value), 200);
}

function whole(answer, status, headers) {
  if (!(Number.isInteger(status) && status >= 200 && status <= 599)) throw new RangeError(`answer with status ${status}: it must be from 200 to 599`);
  answer.status = status;
  answer.headers = headers ? flatten(headers) : [];
  return answer;
}

// ofResponse takes the global Response, as fetch and Response.json give it.
function ofResponse(response) {
  return whole(response.body ? { stream: iteratorOf(response.body) } : {}, response.status, response.headers);
}

function contentOf(value) {
  switch (typeof value) {
    case 'undefined':
      return {};
    case 'string':
      return { type: 'text/plain; charset=utf-8', body: value };
    case 'object': {
      if (value instanceof Uint8Array) return bytes(value);
      if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return bytes(new Uint8Array(value));
      const stream = iteratorOf(value);
      if (stream) return { type: 'application/octet-stream', stream };
    }
  }
  const body = stringify(value);
  if (body === undefined) throw new TypeError(`answer with a ${typeof value}: there is no JSON for it`);
  return { type: 'application/json', body };
}

const bytes = (body) => ({ type: 'application/octet-stream', body });

// iteratorOf is that of a stream, a generator or anything else that is iterated
// asynchronously. Arrays, maps and sets are no streams.
function iteratorOf(value) {
  if (typeof value?.[Symbol.asyncIterator] === 'function') return value[Symbol.asyncIterator]();
  if (typeof value?.[Symbol.iterator] === 'function' && typeof value.next === 'function') return value[Symbol.iterator]();
}

// ofConnection are the headers that are the server's own to send.
const ofConnection = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** flatten makes [name, value, ...] of headers in any of their shapes, and throws where one cannot be sent. */
function flatten(headers) {
  const pairs = typeof headers[Symbol.iterator] === 'function' ? headers : Object.entries(headers);
  const flat = [];
  for (const [name, value] of pairs) {
    if (value === undefined || ofConnection.has(name.toLowerCase())) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      const text = String(one);
      http.validateHeaderName(name);
      http.validateHeaderValue(name, text);
      flat.push(name, text);
    }
  }
  return flat;
}

/** toldOf is the status and message of an error that says how it is answered; undefined of any other. */
function toldOf(error) {
  const status = error?.status ?? error?.statusCode;
  if (error?.expose !== true || !Number.isInteger(status) || status < 400 || status > 599) return undefined;
  return { status, message: String(error.message ?? ''), headers: error.headers };
}

/** problemOf is an answer of application/problem+json (RFC 9457), as the gateway's own errors are. */
function problemOf(status, detail, requestId, headers) {
  const title = http.STATUS_CODES[status] ?? `Error ${status}`;
  const body = stringify({ title, status, detail: detail || undefined, requestId });
  return { status, headers: ['Content-Type', 'application/problem+json', ...(headers ? flatten(headers) : [])], body };
}

module.exports = { Reply, HTTPError, answerOf, toldOf, problemOf };
