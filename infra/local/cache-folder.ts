/**
 * Where what can be made again is kept: compiled code, the bundle of the edge, graphs, measurements. Stacks of one
 * checkout may share it, at the same time too.
 */
import path from "node:path";

/** Absolute; the state folder where the environment names none. */
export function cacheFolder(
  state: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return path.resolve(environment["LLM_OS_CACHE"] || state);
}

/** Where Node keeps code that it has compiled. */
export function compiledCode(cache: string): string {
  return path.join(cache, "compile-cache");
}
