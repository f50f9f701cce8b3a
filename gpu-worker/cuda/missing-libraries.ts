/**
 * What the dynamic linker would not find for the CUDA provider, by `ldd`: the build of the image fails on it, and
 * `install-cuda` says it. The driver's library comes with the machine and is not missed here.
 */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { driverLibrary } from "./cuda-wheels.ts";

const runFile = promisify(execFile);
const notFound = /^\s*(\S+) => not found/gm;

/** @returns a line each: `libA.so needs libB.so`. @throws where the folder has no library, or there is no ldd */
export async function missingLibraries(folder: string, signal: AbortSignal): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /\.so(\.|$)/.test(name)).toSorted();
  if (!names.includes("libonnxruntime_providers_cuda.so")) {
    throw new Error(`${folder} holds no libonnxruntime_providers_cuda.so`);
  }
  const lines: string[] = [];
  for (const name of names) {
    // As the worker loads them: every library of the folder is known to the linker by its name.
    const env = { LD_LIBRARY_PATH: path.resolve(folder), LC_ALL: "C" };
    const { stdout } = await runFile("ldd", [path.resolve(folder, name)], { env, signal });
    for (const [, needed] of stdout.matchAll(notFound)) {
      if (needed !== undefined && needed !== driverLibrary) lines.push(`${name} needs ${needed}`);
    }
  }
  return lines;
}
