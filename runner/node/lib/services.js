'use strict';

// Services are described by the Execution Properties: each object with a "type".

const { HTTPError } = require('./answer.js');
const { vendors } = require('./state.js');
const { inspectOf } = require('./log.js');

/**
 * registerVendor lets properties describe services of a type. build(name, props, log)
 * gives, or promises, a vendor; index.d.ts says what that is.
 */
function registerVendor(type, build) {
  if (typeof build !== 'function') throw new TypeError(`registerVendor with nothing to build type ${type}`);
  if (vendors.has(type)) throw new Error(`registerVendor twice for type ${type}`);
  vendors.set(type, build);
}

/** Services are what the properties describe, each built when it is first asked for. */
class Services {
  #byName = new Map(); // name to {props, vendor}, vendor a promise once it is built
  #built = []; // names in the order of their building, to be closed in reverse
  #log;

  constructor(props, log) {
    this.#log = log;
    for (const [name, description] of Object.entries(props)) {
      if (typeof description?.type === 'string') this.#byName.set(name, { props: description, vendor: undefined });
    }
  }

  /** names are those of services that can be built, sorted: any object may have a "type". */
  names() {
    return [...this.#byName].filter(([, s]) => vendors.has(s.props.type)).map(([name]) => name).sort();
  }

  /** vendor gives the service of that name. One that could not be built is tried again the next time. */
  vendor(name) {
    const service = this.#byName.get(name);
    if (!service) throw new HTTPError(503, `service "${name}" is not configured: enable the bundle with props {"${name}": {"type": ..., ...}}`);
    service.vendor ??= this.#build(name, service).catch((error) => {
      service.vendor = undefined;
      throw unavailable(name, error);
    });
    return service.vendor;
  }

  async #build(name, { props }) {
    const build = vendors.get(props.type);
    if (!build) throw new Error(`its type "${props.type}" is none of ${[...vendors.keys()].sort().join(', ')}: add it with registerVendor`);
    const vendor = await build(name, props, this.#log);
    this.#built.push([name, vendor]);
    return vendor;
  }

  /** close ends all services. No request may be running. */
  async close() {
    for (const [name, vendor] of this.#built.reverse()) {
      try {
        await vendor.close?.();
      } catch (error) {
        this.#log.error(`close service ${name}`, { error: inspectOf(error) });
      }
    }
  }
}

// unavailable says to the client which service failed, and to the log why.
function unavailable(name, cause) {
  return new HTTPError(503, `service "${name}" is not available`, { cause });
}

/** Session is what one request has vended. */
class Session {
  #services;
  #items = []; // {name, vendor, item}, promises both, in the order of vending
  #over = false;

  constructor(services) {
    this.#services = services;
  }

  get used() {
    return this.#items.length > 0;
  }

  /** vend gives an item of that service, the same one each time. */
  async vend(name, ctx) {
    if (this.#over) throw new Error(`vend from service ${name}: the request is over`);
    const before = this.#items.find((i) => i.name === name);
    if (before) return before.item;
    const vendor = Promise.resolve().then(() => this.#services.vendor(name));
    const item = vendor.then((v) => vendOf(v, name, ctx));
    const entry = { name, vendor, item };
    this.#items.push(entry);
    item.catch(() => this.#forget(entry)); // one that could not be had may be asked for again
    return item;
  }

  #forget(entry) {
    this.#items = this.#items.filter((i) => i !== entry);
  }

  /**
   * end gives everything back, last first; success means that it is kept. Once one
   * item cannot be kept, those after it are undone. It throws the first error.
   */
  async end(success) {
    this.#over = true;
    const items = this.#items.splice(0).reverse();
    const errors = [];
    for (const { name, vendor, item } of items) {
      try {
        await giveBack(await vendor, item, success && errors.length === 0);
      } catch (cause) {
        errors.push(new Error(`give back service ${name}`, { cause }));
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

async function vendOf(vendor, name, ctx) {
  try {
    return await vendor.vend(ctx);
  } catch (error) {
    throw unavailable(name, error);
  }
}

async function giveBack(vendor, item, success) {
  let vended;
  try {
    vended = await item;
  } catch {
    return; // it was never had
  }
  await vendor.release(vended, success);
}

module.exports = { registerVendor, Services, Session };
