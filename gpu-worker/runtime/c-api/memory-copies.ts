/** Bytes copied on threads of libuv's pool: here the CPU's, in cuda-copies.ts a GPU's. */
import process from "node:process";
import koffi from "koffi";
import { asyncFunction } from "./native-function.ts";
import type { Pointer } from "./native-function.ts";

export type Copies = {
  /** Either may be an array of JavaScript's. */
  readonly copy: (
    to: Pointer | ArrayBufferView,
    from: Pointer | ArrayBufferView,
    bytes: number,
  ) => Promise<void>;
};

let cpuCopies: Copies | undefined;

/** string.h. */
export function openCpuCopies(): Copies {
  if (cpuCopies !== undefined) return cpuCopies;
  const library = koffi.load(process.platform === "win32" ? "msvcrt.dll" : null);
  const kinds = ["pointer", "pointer", "size"] as const;
  const memcpy = asyncFunction(library.symbol("memcpy", "void"), null, kinds);
  cpuCopies = { copy: memcpy };
  return cpuCopies;
}
