/** The files of an adapter's folder, in the layout of Hugging Face's PEFT library, and how its weights are read. */
import path from "node:path";
import * as z from "zod";
import { readJson } from "../files/json-file.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { WeightSource } from "../weights/weight-source.ts";

export const adapterFiles = {
  config: "adapter_config.json",
  weights: "adapter_model.safetensors",
  own: "llm-os.json",
  card: "README.md",
} as const;

/** Of a tuned model: `ft:base:suffix:id`, or any other name. */
export const AdapterId = z.string().regex(/^[\w.:-]{1,200}$/);

/** The id that an adapter's folder gives itself; null: none, or it cannot be read. */
export async function readAdapterId(folder: string): Promise<string | null> {
  const Id = z.looseObject({ id: AdapterId.nullish() });
  const own = await readJson(folder, adapterFiles.own, Id).catch(() => null);
  return own?.id ?? null;
}

/** @throws Error where a number is not finite */
export function readFinite(source: WeightSource, name: string): Float32Array {
  const values = readFloat32(source, name);
  if (!values.every(Number.isFinite)) throw new Error(`${name} holds a number that is not finite`);
  return values;
}

/** What `read` makes of the folder's weights. @throws Error that names their file */
export function readAdapterWeights<T>(folder: string, read: (source: WeightSource) => T): T {
  const source = openSafetensors(path.join(folder, adapterFiles.weights));
  try {
    return read(source);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const named = reason.startsWith(adapterFiles.weights);
    throw new Error(named ? reason : `${adapterFiles.weights}: ${reason}`, { cause });
  } finally {
    source.close();
  }
}
