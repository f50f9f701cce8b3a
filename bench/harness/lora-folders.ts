/** Adapters of low rank as folders in PEFT's layout: arbitrary numbers at their real cost. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { LoadedEncoder } from "../../gpu-worker/catalog/loaded-model.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import type { Random } from "../../contract/random.ts";

/** Layers of a block of MiniLM, [out, in]. */
const layersOfBlock: Readonly<Record<string, readonly [number, number]>> = {
  "attention.self.query": [384, 384],
  "attention.self.key": [384, 384],
  "attention.self.value": [384, 384],
  "attention.output.dense": [384, 384],
  "intermediate.dense": [1_536, 384],
  "output.dense": [384, 1_536],
};
const blocks = 6;
const labelCount = 8;

export type LoraFolder = {
  readonly base: LoadedEncoder;
  readonly rank: number;
  /** Endings of the names of the layers that are tuned; all where there are none. */
  readonly targets: readonly string[];
};

/** A classifier of texts on MiniLM. */
export async function writeLoraFolder(
  folder: string,
  { base, rank, targets }: LoraFolder,
  random: Random,
): Promise<void> {
  const filled = (name: string, shape: number[]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const load = () => Float32Array.from({ length: count }, () => (random() - 0.5) / 8);
    return { name: `base_model.model.${name}`, dtype: "float32" as const, shape, load };
  };
  const tensors = Object.entries(layersOfBlock)
    .filter(([name]) => targets.length === 0 || targets.some((target) => name.endsWith(target)))
    .flatMap(([name, [outputs, inputs]]) =>
      Array.from({ length: blocks }, (_, block) => `encoder.layer.${block}.${name}`).flatMap(
        (layer) => [
          filled(`${layer}.lora_A.weight`, [rank, inputs]),
          filled(`${layer}.lora_B.weight`, [outputs, rank]),
        ],
      ),
    );
  const head = [
    filled("classifier.weight", [labelCount, base.limits.dimensions ?? 0]),
    filled("classifier.bias", [labelCount]),
  ];
  const config = {
    peft_type: "LORA",
    task_type: "SEQ_CLS",
    base_model_name_or_path: base.id,
    r: rank,
    lora_alpha: rank,
    target_modules: targets,
  };
  const own = {
    formatVersion: 1,
    task: "text-classification",
    labels: Array.from({ length: labelCount }, (_, index) => `label ${index}`),
    problem: "single_label",
    pooling: "mean",
    max_length: 256,
    base_digest: base.upstreamDigest,
  };
  await mkdir(folder, { recursive: true });
  await writeSafetensors(path.join(folder, "adapter_model.safetensors"), [...tensors, ...head]);
  await writeFile(path.join(folder, "llm-os.json"), JSON.stringify(own));
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(config));
}
