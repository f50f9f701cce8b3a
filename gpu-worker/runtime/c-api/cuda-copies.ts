/**
 * Copies to and from a GPU by the CUDA runtime library, which ONNX Runtime's provider has loaded. They are ordered with
 * each other, and done when they resolve: streams of ONNX Runtime's do not wait for the stream they run on.
 */
import koffi from "koffi";
import { RuntimeError } from "../session.ts";
import type { Copies } from "./memory-copies.ts";
import { asyncNumberFunction } from "./native-function.ts";
import type { Pointer } from "./native-function.ts";

/** cudaMemcpyDefault: the addresses say which is the device's. */
const byAddress = 4;

/** @throws koffi's error where the library cannot be loaded */
export function openCudaCopies(): Copies & {
  readonly zero: (address: Pointer, bytes: number) => Promise<void>;
} {
  const library = koffi.load("libcudart.so.13");
  const errorString = library.func("cudaGetErrorString", "str", ["int"]);
  // The words of ONNX Runtime's own CUDA errors, by which faults of the device are known.
  const check = (code: number): void => {
    if (code !== 0) throw new RuntimeError(`CUDA failure ${code}: ${errorString(code)}`);
  };
  const bind = (name: string) => library.symbol(name, "void");
  const memcpy = asyncNumberFunction(bind("cudaMemcpy"), check, [
    "pointer",
    "pointer",
    "size",
    "int",
  ]);
  const memset = asyncNumberFunction(bind("cudaMemset"), check, ["pointer", "int", "size"]);
  const synchronize = asyncNumberFunction(bind("cudaStreamSynchronize"), check, ["pointer"]);
  return {
    zero: async (address, bytes) => {
      await memset(address, 0, bytes);
      await synchronize(null);
    },
    // From memory that is not pinned, the copy may still be on its way when the call returns.
    copy: async (to, from, bytes) => {
      await memcpy(to, from, bytes, byAddress);
      await synchronize(null);
    },
  };
}
