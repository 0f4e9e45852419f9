// How functions are written in TypeScript. `tsc -p runner/node/test` checks it, and
// with it the declarations.

import { type Context, type Func, HTTPError, type Int64, log, registerVendor, Reply, type Vendor } from 'funcatron';

interface Person {
  name: string;
  age: Int64;
}

export const older: Func<Person, Person> = (ctx, { name, age }) => ({ name, age: BigInt(age) + 1n });

export async function add(ctx: Context, person: Person): Promise<Reply> {
  const db = await ctx.vend('db');
  const [found] = await db.query<{ id: Int64 }>('SELECT id FROM people WHERE name = ?', [person.name]);
  if (found) throw new HTTPError(409, `${person.name} is there already`, { headers: { 'X-Id': String(found.id) } });
  const { lastInsertId } = await db.execute('INSERT INTO people (name, age) VALUES (?, ?)', [person.name, person.age]);
  log.info('added', { id: lastInsertId });
  return new Reply({ id: lastInsertId }, { status: 201, headers: { Location: `/people/${lastInsertId}` } });
}

export async function* lines(ctx: Context): AsyncGenerator<string> {
  const limit: number = ctx.queryParams.limit;
  for (let i = 0; i < limit && !ctx.signal.aborted; i++) yield `${i}\n`;
}

export async function forward(ctx: Context): Promise<Response> {
  return ctx.fetch('http://127.0.0.1:8080/other', { method: ctx.method });
}

class Clock implements Vendor<Date> {
  vend(): Date {
    return new Date();
  }

  release(item: Date, success: boolean): void {
    log.debug('given back', { item, success });
  }
}

registerVendor('clock', () => new Clock());

export async function now(ctx: Context): Promise<string> {
  return (await ctx.vend<Date>('clock')).toISOString();
}

// @ts-expect-error: a status is a number
new Reply('x', { status: '201' });
// @ts-expect-error: what comes is not to be changed
export const wrong: Func = (ctx) => { ctx.method = 'GET'; };
