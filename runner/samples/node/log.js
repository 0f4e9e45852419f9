/** log logs a text twice. In a request, console.log and console.warn do the same. */
export function log(ctx) {
  const { text } = ctx.queryParams;
  ctx.log.info(text);
  ctx.log.warn(text);
  return { requestId: ctx.requestId };
}
