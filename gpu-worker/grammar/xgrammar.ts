/**
 * XGrammar, as WebAssembly. Its package is a script for browsers that says it is a module, so that it is not imported
 * but compiled here. It aborts where anything is wrong, and cannot be used afterwards: a thread of its own has it.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import vm from "node:vm";
import type * as XGrammar from "@mlc-ai/web-xgrammar";

export type {
  CompiledGrammar,
  GrammarCompiler,
  GrammarMatcher,
  TokenizerInfo,
} from "@mlc-ai/web-xgrammar";

const pageBytes = 65_536;

export function loadXGrammar(): typeof XGrammar {
  const file = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar");
  const module: { exports: Partial<typeof XGrammar> } = { exports: {} };
  const run = vm.compileFunction(
    readFileSync(file, "utf8"),
    ["exports", "require", "module", "__filename", "__dirname"],
    { filename: file, importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER },
  );
  run(module.exports, createRequire(file), module, file, path.dirname(file));
  // As its own declarations say.
  return module.exports as typeof XGrammar;
}

type Memory = { readonly buffer: ArrayBufferLike; grow(pages: number): number };

/**
 * All memory of WebAssembly of this thread grows to no more. What asks for more aborts.
 * @returns tells how large the one is that grew last
 */
export function boundMemory(bytesMax: number): () => number {
  const { prototype }: { prototype: Memory } = Reflect.get(globalThis, "WebAssembly").Memory;
  const grow = prototype.grow;
  let bytes = 0;
  prototype.grow = function bounded(pages: number): number {
    bytes = this.buffer.byteLength + pages * pageBytes;
    if (bytes > bytesMax) throw new RangeError("out of memory");
    return grow.call(this, pages);
  };
  return () => bytes;
}
