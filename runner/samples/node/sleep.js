import { setTimeout as pause } from 'node:timers/promises';

/** sleep answers after that many milliseconds, and stops when nobody waits any more. */
export async function sleep(ctx) {
  const { ms } = ctx.pathParams;
  await pause(ms, undefined, { signal: ctx.signal });
  return { slept: ms };
}
