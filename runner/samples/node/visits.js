import { setTimeout as pause } from 'node:timers/promises';
import { HTTPError, Reply } from 'funcatron';

// The guest book is in the database that the property "db" describes:
//
//   {"db": {"type": "database", "url": "file:/var/lib/visits.db"}}
//
// Each request has a transaction, which is committed when its function has succeeded
// in time, and rolled back when not. (SQLite lets one write at a time: the others wait.)

const createVisits = `CREATE TABLE IF NOT EXISTS visits (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  time TEXT NOT NULL
)`;

/**
 * addVisit writes first and counts then: a visit too many is taken back by the rollback
 * that its error brings.
 */
export async function addVisit(ctx, { name }) {
  const { maxVisits = 1000 } = ctx.props;
  const db = await visits(ctx);
  const time = new Date().toISOString();
  const [{ id }] = await db.query('INSERT INTO visits (name, time) VALUES (?, ?) RETURNING id', [name, time]);
  const [{ count }] = await db.query('SELECT count(*) AS count FROM visits WHERE name = ?', [name]);
  if (count > maxVisits) throw new HTTPError(409, `${name} has visited ${maxVisits} times already`);
  await pause(ctx.queryParams.sleep, undefined, { signal: ctx.signal }); // too late: 504, and what was written is taken back
  ctx.log.info('visited', { name, count });
  return new Reply({ id, name, time }, { status: 201 });
}

/** listVisits gives the latest visits, of one name or of everybody. */
export async function listVisits(ctx) {
  const { name, limit } = ctx.queryParams; // the document gives the limit's default
  const db = await visits(ctx);
  return db.query('SELECT id, name, time FROM visits WHERE name = :name OR :name IS NULL ORDER BY id DESC LIMIT :limit', { name, limit });
}

// visits gives the request's transaction, in which the table is there. Without the
// property "db" the answer is 503, and says so.
async function visits(ctx) {
  const db = await ctx.vend('db');
  await db.execute(createVisits);
  return db;
}
