import { HTTPError, Reply } from 'funcatron';

/** status answers with the status that it is asked for. */
export function status(ctx) {
  const { code } = ctx.pathParams;
  const bodiless = code === 204 || code === 304;
  return new Reply(bodiless ? undefined : `status ${code}`, {
    status: code,
    headers: {
      'Content-Type': bodiless ? undefined : 'text/plain',
      'X-Sample-Status': code,
      Location: code >= 300 && code <= 399 ? '/elsewhere' : undefined,
    },
  });
}

/**
 * fail shows the two kinds of errors: the text of the one is logged and the client is
 * told 500, the other says what the client is told.
 */
export function fail(ctx) {
  if (ctx.pathParams.how === 'refuse') throw new HTTPError(422, 'the sample refuses on purpose');
  throw new Error('the sample fails on purpose');
}
