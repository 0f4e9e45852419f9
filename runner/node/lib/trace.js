'use strict';

// REQ ids, and the W3C trace context that they travel in.

const { randomBytes } = require('node:crypto');

/** requestIdOf is the REQ id of a request: the Runner's, else the trace's id, else a new one. */
function requestIdOf(requestId, traceparent) {
  if (requestId && requestId.length <= 128) return requestId;
  return parseTraceparent(traceparent)?.traceId ?? randomId(16);
}

/** outgoing are the headers by which requests that one makes belong to it. */
function outgoing(requestId, traceparent, tracestate) {
  const headers = { 'x-request-id': requestId };
  const trace = parseTraceparent(traceparent);
  const traceId = trace?.traceId ?? (isId(requestId, 32) ? requestId : undefined);
  if (!traceId) return headers;
  headers.traceparent = `00-${traceId}-${randomId(8)}-${trace?.flags ?? '00'}`;
  if (trace && tracestate) headers.tracestate = tracestate;
  return headers;
}

// parseTraceparent takes, of a version later than 00, the part that every version
// begins with.
function parseTraceparent(text) {
  const parts = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text ?? '');
  if (!parts) return undefined;
  const [, version, traceId, parent, flags, more] = parts;
  if (version === 'ff' || (version === '00' && more !== undefined) || !isId(traceId, 32) || !isId(parent, 16)) return undefined;
  return { traceId, flags };
}

// isId is true of n hex digits that are not all zero.
function isId(text, n) {
  return text.length === n && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
}

function randomId(bytes) {
  for (;;) {
    const id = randomBytes(bytes).toString('hex');
    if (isId(id, 2 * bytes)) return id;
  }
}

module.exports = { requestIdOf, outgoing, parseTraceparent };
