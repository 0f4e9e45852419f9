// The hook by which import finds the package, where Node runs hooks in a thread of
// their own; resolve.js says more.

const own = new URL('../index.mjs', import.meta.url).href;

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (specifier === 'funcatron' && error.code === 'ERR_MODULE_NOT_FOUND') return { url: own, format: 'module', shortCircuit: true };
    throw error;
  }
}
