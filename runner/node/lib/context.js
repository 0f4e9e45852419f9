'use strict';

const querystring = require('node:querystring');
const { parse } = require('./json.js');
const { loggerOf } = require('./log.js');
const { outgoing } = require('./trace.js');

/**
 * Context is one request and what a function may use while it serves it. What its
 * members give is shared, and not to be changed. Most are made when first asked for:
 * most requests need few of them.
 */
class Context {
  #call;
  #params;
  #query;
  #merged;
  #log;

  constructor(call, operation, requestId) {
    this.#call = call;
    this.operation = operation;
    this.requestId = requestId;
    const header = call.header('x-funcatron-params');
    this.#params = header === undefined ? {} : parseParams(header);
  }

  get method() {
    return this.#call.req.method;
  }

  get uri() {
    return this.#call.req.url;
  }

  get headers() {
    return this.#call.req.headers;
  }

  get body() {
    return this.#call.body;
  }

  get pathParams() {
    return this.#params.path ?? {};
  }

  get queryParams() {
    return (this.#query ??= mergeQuery(this.#params.query, this.uri));
  }

  get headerParams() {
    return this.#params.header ?? {};
  }

  get formParams() {
    return this.#params.form ?? {};
  }

  get params() {
    return (this.#merged ??= Object.assign(Object.create(null), this.headerParams, this.formParams, this.queryParams, this.pathParams));
  }

  get props() {
    return this.#call.host.props;
  }

  get services() {
    return this.#call.host.services.names();
  }

  vend(name) {
    return this.#call.session.vend(name, this);
  }

  get log() {
    return (this.#log ??= loggerOf(() => this));
  }

  get signal() {
    return this.#call.signal;
  }

  get remaining() {
    return this.#call.remaining();
  }

  get outgoingHeaders() {
    return outgoing(this.requestId, this.#call.header('traceparent'), this.#call.header('tracestate'));
  }

  fetch(input, init = {}) {
    const own = input instanceof Request ? input : undefined;
    const headers = new Headers(init.headers ?? own?.headers);
    for (const [name, value] of Object.entries(this.outgoingHeaders)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    // A Request always has a signal, so it cannot be told whether its maker gave it one.
    const signal = init.signal ?? (own ? either(own.signal, this.signal) : this.signal);
    return fetch(input, { ...init, headers, signal });
  }
}

function either(a, b) {
  return AbortSignal.any ? AbortSignal.any([a, b]) : a;
}

// parseParams reads an X-Funcatron-Params header. Headers come as one character a
// byte, and the JSON in this one may be UTF-8.
function parseParams(header) {
  const text = /[\x80-\xff]/.test(header) ? Buffer.from(header, 'latin1').toString() : header;
  const params = parse(text);
  if (params === null || typeof params !== 'object' || Array.isArray(params)) throw new TypeError('X-Funcatron-Params is no JSON object');
  return params;
}

const everyKey = { maxKeys: 0 };

// mergeQuery adds to the declared query parameters those that the document does not
// declare, as strings, or as lists of them where one is repeated. Anybody may choose
// their names, so the object has no prototype that one could hit.
function mergeQuery(declared, uri) {
  const start = uri.indexOf('?');
  const all = start < 0 ? Object.create(null) : querystring.parse(uri.slice(start + 1), '&', '=', everyKey);
  return Object.assign(all, declared);
}

module.exports = { Context };
