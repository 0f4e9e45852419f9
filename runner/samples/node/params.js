/** params answers with its parameters, each of the type that the document declares. */
export function params(ctx) {
  const { id, name, limit, on, tags } = ctx.params;
  return { id, name, limit, on, tags };
}
