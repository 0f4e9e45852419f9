'use strict';

// What of the bundle's Swagger document the process needs to know.

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'];

/**
 * operationsOf is a Map of the document's operations by name: the operationId, or
 * "METHOD path" where there is none. assumeJSON says that a body without a
 * Content-Type is JSON there, as the gateway, which has checked it, takes it to be.
 */
function operationsOf(document) {
  const operations = new Map();
  for (const [path, item] of Object.entries(document?.paths ?? {})) {
    for (const method of methods) {
      const operation = item?.[method];
      if (!operation) continue;
      const consumes = operation.consumes ?? document.consumes ?? [];
      operations.set(operation.operationId || `${method.toUpperCase()} ${path}`, { assumeJSON: consumes.length === 0 || consumes.some(isJSON) });
    }
  }
  return operations;
}

/** bareType is a Content-Type without its parameters, in lower case. */
function bareType(contentType) {
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** isJSON says whether a Content-Type is JSON: application/json, text/json or a +json suffix. */
function isJSON(contentType) {
  const type = bareType(contentType);
  return type === 'application/json' || type === 'text/json' || (type.endsWith('+json') && type.includes('/'));
}

module.exports = { operationsOf, bareType, isJSON };
