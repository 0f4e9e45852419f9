import { Reply } from 'funcatron';

/** echo takes the body as it stands, whatever it is. */
export function echo(ctx) {
  return new Reply(ctx.body, {
    headers: { 'Content-Type': ctx.headers['content-type'], 'X-Sample-Length': ctx.body.length },
  });
}

/** record answers with what the body was read into. */
export function record(ctx, { id, text, ratio, tags }) {
  return { id, text, ratio, tags };
}
