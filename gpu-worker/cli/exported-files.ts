/** What exports of every kind of model write: files that are copied as they are, and weights as one file. */
import { copyFile, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TensorToWrite, writeSafetensors } from "../weights/safetensors-writer.ts";
import type { WeightSource } from "../weights/weight-source.ts";

/** Made where it is not there. @throws Error where it has something in it */
export async function makeEmpty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length === 0) return;
  throw new Error(`${folder} is not empty: choose another --out`);
}

/** @param onAbsent told of a file that is not there. Default: it is left out */
export async function copyNamed(
  from: string,
  to: string,
  name: string,
  onAbsent: (folder: string) => void = () => undefined,
): Promise<void> {
  if ((await stat(path.join(from, name)).catch(() => null)) === null) return onAbsent(from);
  await mkdir(path.dirname(path.join(to, name)), { recursive: true });
  await copyFile(path.join(from, name), path.join(to, name));
}

/** A file beside this one. */
export async function copyOwn(name: string, to: string, as = name): Promise<void> {
  await copyFile(path.join(import.meta.dirname, name), path.join(to, as));
}

/** What the model's module has to know, the module, a file beside this one, and the script that calls it. */
export async function writeScript(out: string, module: string, description: object): Promise<void> {
  await writeFile(path.join(out, "model.json"), `${JSON.stringify(description, null, 2)}\n`);
  await copyOwn(module, out, "model.mjs");
  await copyOwn("run-exported.mjs", out, "run.mjs");
}

/** The weights as `model.safetensors` of a checkpoint. */
export async function writeWeights(folder: string, weights: WeightSource): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = weights.names().flatMap((name): TensorToWrite[] => {
    const entry = weights.entry(name);
    if (entry === null) return [];
    return [{ name, dtype: entry.dtype, shape: entry.shape, load: () => weights.read(name).data }];
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
}
