'use strict';

const querystring = require('node:querystring');
const { parse } = require('./json.js');
const { HTTPError } = require('./answer.js');
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
  }

  get #declared() {
    return (this.#params ??= parseParams(this.#call.header('x-funcatron-params')));
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
    return this.#declared.path ?? {};
  }

  get queryParams() {
    return (this.#query ??= mergeQuery(this.#declared.query, this.uri));
  }

  get headerParams() {
    return this.#declared.header ?? {};
  }

  get formParams() {
    return this.#declared.form ?? {};
  }

  get params() {
    return (this.#merged ??= { ...this.headerParams, ...this.formParams, ...this.queryParams, ...this.pathParams });
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
  if (header === undefined) return {}; // a request made by hand need not have it
  try {
    const params = parse(/[\x80-\xff]/.test(header) ? Buffer.from(header, 'latin1').toString() : header);
    if (params !== null && typeof params === 'object') return params;
  } catch (error) {
    throw new HTTPError(400, `X-Funcatron-Params cannot be read: ${error.message}`);
  }
  throw new HTTPError(400, 'X-Funcatron-Params is no JSON object');
}

// mergeQuery adds to the declared query parameters those that the document does not
// declare, as strings, or as lists of them where one is repeated.
function mergeQuery(declared, uri) {
  const all = {};
  const start = uri.indexOf('?');
  if (start >= 0) {
    for (const pair of uri.slice(start + 1).split('&')) {
      if (pair === '') continue;
      const end = pair.indexOf('=');
      if (end < 0) add(all, decode(pair), '');
      else add(all, decode(pair.slice(0, end)), decode(pair.slice(end + 1)));
    }
  }
  return Object.assign(all, declared);
}

function add(all, name, value) {
  if (!Object.hasOwn(all, name)) set(all, name, value);
  else if (Array.isArray(all[name])) all[name].push(value);
  else set(all, name, [all[name], value]);
}

// set is a plain assignment, but of the one name that would not be one.
function set(all, name, value) {
  if (name === '__proto__') Object.defineProperty(all, name, { value, writable: true, enumerable: true, configurable: true });
  else all[name] = value;
}

// decode takes what is no proper escape as it stands.
function decode(text) {
  return /[%+]/.test(text) ? querystring.unescape(text.replaceAll('+', ' ')) : text;
}

module.exports = { Context };
