/**
 * Has V8 keep the WebAssembly that it has compiled. Node strips types in WebAssembly, in every thread that loads
 * TypeScript, and the threads share its code: while one is collecting code that no other needs any more, V8 as of
 * Node 24 can free what another has just taken, and the whole process dies (nodejs/node#64500).
 */
import { setFlagsFromString } from "node:v8";

/** Calls of an import before V8 compiles a wrapper for it, in a cache that all threads share: never. */
const wrapperCalls = 1_000_000_000;

/** Before a process starts threads that load TypeScript. What is kept is freed with the last thread that uses it. */
export function keepWasmCode(): void {
  setFlagsFromString("--no-wasm-code-gc");
  setFlagsFromString(`--wasm-wrapper-tiering-budget=${wrapperCalls}`);
}
