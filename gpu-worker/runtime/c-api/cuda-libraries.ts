/**
 * The libraries that `npm run worker -- install-cuda` puts into a folder, loaded by their paths before ONNX Runtime
 * looks for them by name: the provider has no path to them (no RUNPATH), and a name that is loaded already is not
 * searched for. The parts of cuDNN that libcudnn.so.9 opens itself lie beside it, where it looks first.
 */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { RuntimeError } from "../session.ts";
import { configureStacks } from "./koffi-stacks.ts";
import { pinLibrary } from "./pin-library.ts";

/** Each after what it needs. What the provider opens at its first use of it (cuFFT, NVRTC, cuDNN) is here too. */
export const preloaded = [
  "libcudart.so.13",
  "libcublasLt.so.13",
  "libcublas.so.13",
  "libcurand.so.10",
  "libnvJitLink.so.13",
  "libcufft.so.12",
  "libnvrtc.so.13",
  "libcudnn.so.9",
] as const;

const remedy = "run `npm run worker -- install-cuda`";

/** @throws RuntimeError that says what to run where the folder holds no provider */
export function findRuntimeLibrary(folder: string): string {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const library = names.find((name) => name.startsWith("libonnxruntime.so.1"));
  const here = library !== undefined && names.includes("libonnxruntime_providers_cuda.so");
  if (here) return path.resolve(folder, library);
  throw new RuntimeError(`the CUDA provider is not installed in ${folder}: ${remedy}`);
}

/** @throws RuntimeError that names the library and why it cannot be loaded */
export function preloadCuda(folder: string): void {
  configureStacks();
  for (const name of preloaded) {
    const file = path.resolve(folder, name);
    if (!existsSync(file)) throw new RuntimeError(`${name} is missing in ${folder}: ${remedy}`);
    pinLibrary(file);
  }
}
