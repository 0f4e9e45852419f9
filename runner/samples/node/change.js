import { Reply } from 'funcatron';

/**
 * postOrDelete answers each method differently: with a list, with one object, and with
 * a status and text of its own.
 */
export function postOrDelete(ctx, data) {
  // The document guarantees the path parameter cnt.
  const { cnt } = ctx.pathParams;
  switch (ctx.method) {
    case 'DELETE':
      return { name: `Deleted ${cnt}`, age: cnt };
    case 'POST':
      return Array.from({ length: Math.max(Number(cnt), 0) }, (_, i) => older(data, i + 1));
    default:
      return new Reply(`Expecting a POST or DELETE, but got ${ctx.method}`, { status: 400, headers: { 'Content-Type': 'text/plain' } });
  }
}

// An int64 comes as a number where a number can hold it, and else as a BigInt. To
// reckon with all of them, make BigInts of all.
function older({ name, age }, years) {
  return { name: `${name}${years}`, age: BigInt(age) + BigInt(years) };
}
