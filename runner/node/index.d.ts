// Types of the package funcatron. They need @types/node.

import type { Readable } from 'node:stream';

/**
 * A function that serves an operation: an export of the bundle, of the name that the
 * operationId is. Body is what the request's body is read into: of JSON its value, of
 * text/* a string, of any other type a Buffer, and undefined where there is none.
 *
 * What it returns is answered with status 200: null or undefined with 204 and no body, a
 * string as text/plain, a Uint8Array as application/octet-stream, a stream in chunks,
 * and anything else as JSON. A Reply, or a Response as fetch gives it, chooses more.
 *
 * What it throws is answered 500, and its text goes to the log alone, under the
 * request's REQ id. An HTTPError chooses what the client is told.
 */
export type Func<Body = unknown, Result = unknown> = (ctx: Context, body: Body) => Result | Promise<Result>;

/** An integer of up to 64 bits: a number where a number can hold it, and else a bigint, with all its digits. */
export type Int64 = number | bigint;

/** A parameter as the Swagger document types it. One that it does not declare is a string, or a list of strings where it is repeated. */
export type Param = any;

/** Parameters by their names, defaults filled in. */
export type Params = Readonly<Record<string, Param>>;

/** One request, and what a function may use while it serves it. What it gives is not to be changed. */
export interface Context {
  /** The HTTP method, upper case. */
  readonly method: string;
  /** The request target as the client sent it, path and query. */
  readonly uri: string;
  /** The request's headers as node:http gives them: names in lower case. */
  readonly headers: import('node:http').IncomingHttpHeaders;
  /** The request's body as it came; of length 0 where there is none. */
  readonly body: Buffer;
  /** The REQ id: 32 lowercase hex digits, shared by all requests that came of one. */
  readonly requestId: string;
  /** The operationId, or "METHOD path" where the document gives none. */
  readonly operation: string;

  readonly pathParams: Params;
  /** Those that the document declares, and all others. */
  readonly queryParams: Params;
  readonly headerParams: Params;
  readonly formParams: Params;
  /** All parameters. Of those with one name the path's counts, then the query's, the form's, the header's. */
  readonly params: Params;

  /** The Execution Properties that the bundle was enabled with. They are frozen. */
  readonly props: Readonly<Record<string, any>>;
  /** The names of the services that the properties describe, sorted. */
  readonly services: string[];
  /**
   * An item of the service of that name: of a database, its transaction. Asked again in
   * the same request it gives the same one. It is given back before the answer leaves:
   * committed where the function succeeded in time, and undone where not. It rejects with an
   * HTTPError of status 503 where the properties describe no such service, or it cannot be had.
   */
  vend<Item = Transaction>(name: string): Promise<Item>;

  /** Writes log lines that carry the operation and the REQ id. */
  readonly log: Logger;

  /** Aborts at the deadline, and when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Milliseconds left until the deadline; Infinity where there is none. */
  readonly remaining: number;

  /** fetch for requests that belong to this one: they carry its REQ id and its trace, and end with it. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** The headers that ctx.fetch adds, for other HTTP clients. The trace's parent id is a new one each time. */
  readonly outgoingHeaders: Record<string, string>;
}

export interface Logger {
  debug(message: unknown, fields?: Record<string, unknown> | Error): void;
  info(message: unknown, fields?: Record<string, unknown> | Error): void;
  warn(message: unknown, fields?: Record<string, unknown> | Error): void;
  error(message: unknown, fields?: Record<string, unknown> | Error): void;
}

/** A logger whose lines are those of the request that is running, wherever it is called. So are console.log (INFO), warn, error and debug. */
export const log: Logger;

export type HeadersLike =
  | Readonly<Record<string, string | number | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>;

/** What can be a body: see Func. */
export type Content = string | Uint8Array | ArrayBuffer | Readable | AsyncIterable<string | Uint8Array> | Generator<string | Uint8Array> | object | number | boolean | bigint | null | undefined;

/** An answer in full. */
export class Reply {
  constructor(body?: Content, options?: { status?: number; headers?: HeadersLike });
  body: Content;
  /** From 200 to 599; 200 where it is not given. */
  status: number;
  /** Content-Length and what else belongs to the connection is the package's. */
  headers?: HeadersLike;
}

/** An error that says how it is answered: with status (400 to 599) and, as problem+json, message. */
export class HTTPError extends Error {
  constructor(status: number, message?: string, options?: { headers?: HeadersLike; cause?: unknown });
  status: number;
  readonly expose: true;
  headers?: HeadersLike;
}

/** What ctx.vend gives of a service of type "database". Its end is not the function's to decide. */
export interface Transaction {
  /** The rows. Parameters are written as the driver has them: ? or $1. */
  query<Row = Record<string, any>>(sql: string, params?: readonly unknown[] | Record<string, unknown>): Promise<Row[]>;
  /** How many rows were changed; and, of SQLite and MySQL, the id of the row inserted last. */
  execute(sql: string, params?: readonly unknown[] | Record<string, unknown>): Promise<{ changes: number; lastInsertId?: Int64 }>;
}

/** A service: it vends items to requests and gets each back exactly once. */
export interface Vendor<Item = unknown> {
  /** Makes or lends an item for one request. Give up when ctx.signal aborts. */
  vend(ctx: Context): Item | Promise<Item>;
  /** Takes an item back; success says to keep what was done with it. An error then turns the answer into a 500. */
  release(item: Item, success: boolean): void | Promise<void>;
  /** Ends the service when all items are back. */
  close?(): void | Promise<void>;
}

/**
 * Lets properties describe services of a type of your own. build is called when the first
 * request asks for the service, and again at the next one where it failed. Throws where
 * the type is there already, as "database" is.
 */
export function registerVendor(type: string, build: (name: string, props: Readonly<Record<string, any>>, log: Logger) => Vendor<any> | Promise<Vendor<any>>): void;

/**
 * Gives the driver of a database, for bundles that are one file and have no
 * node_modules: the module as require gives it, of mysql2 that of mysql2/promise.
 */
export function registerDriver(name: 'better-sqlite3' | '@photostructure/sqlite' | 'node:sqlite' | 'node-sqlite3-wasm' | 'pg' | 'mysql2', module: unknown): void;

/** JSON.parse, but integers that a number cannot hold are bigints. */
export function parse(text: string): any;
/** JSON.stringify, but bigints are written as integers. */
export function stringify(value: unknown): string | undefined;
