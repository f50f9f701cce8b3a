/** Adapters of low rank on the tiny encoder, made up. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { sha256OfFile } from "../../gpu-worker/files/file-digest.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { type CatalogBench, never } from "./catalog-bench.ts";

const hidden = 8;
const prefix = "base_model.model.";
const layer = "encoder.layer.0.attention.self.";

export type Matrix = { shape: number[]; values: ArrayLike<number> };

export type TunedAdapter = {
  /** Its numbers differ with it. */
  seed?: number;
  rank?: number;
  /** Parts of the layer's attention. */
  targets?: readonly string[];
  base?: string;
  config?: object;
  own?: object;
  tensors?: Record<string, Matrix>;
  /** The layer that is its head. */
  head?: string;
};

function fixed(shape: number[], seed: number): Matrix {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, at) => Math.sin(1 + at * 1.7 + seed * 13));
  return { shape, values };
}

export async function writeTunedAdapter(
  bench: CatalogBench,
  name: string,
  {
    seed = 1,
    rank = 2,
    targets = ["query", "value"],
    base = "tiny",
    head = "classifier",
    ...more
  }: TunedAdapter = {},
): Promise<void> {
  const folder = bench.local(name);
  await mkdir(folder, { recursive: true });
  const config = {
    peft_type: "LORA",
    task_type: "SEQ_CLS",
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: 2 * rank,
    target_modules: targets,
    ...more.config,
  };
  const own = {
    formatVersion: 1,
    task: "text-classification",
    labels: ["a", "b"],
    problem: "single_label",
    pooling: "mean",
    max_length: 16,
    base_digest: await sha256OfFile(path.join(bench.local(base), "model.safetensors"), never),
    ...more.own,
  };
  const tensors: Record<string, Matrix> = {
    [`${prefix}${head}.weight`]: fixed([2, hidden], 5),
    [`${prefix}${head}.bias`]: fixed([2], 6),
  };
  for (const [at, target] of targets.entries()) {
    tensors[`${prefix}${layer}${target}.lora_A.weight`] = fixed([rank, hidden], seed + at);
    tensors[`${prefix}${layer}${target}.lora_B.weight`] = fixed([hidden, rank], seed - at);
  }
  const all = Object.entries({ ...tensors, ...more.tensors });
  await writeSafetensors(
    path.join(folder, "adapter_model.safetensors"),
    all.map(([key, { shape, values }]) => ({
      name: key,
      dtype: "float32" as const,
      shape,
      load: () => Float32Array.from(values),
    })),
  );
  await writeFile(path.join(folder, "llm-os.json"), JSON.stringify(own));
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(config));
}
