/** Adapters of low rank on the tiny decoder, made up. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import type { CatalogBench } from "./catalog-bench.ts";

/** [out, in] of a layer of llama-all-biases. */
const sizes = { q_proj: [18, 24], v_proj: [18, 24], down_proj: [24, 20] } as const;
const parents = { q_proj: "self_attn", v_proj: "self_attn", down_proj: "mlp" } as const;
type Target = keyof typeof sizes;

export type MadeUpAdapter = {
  /** Its numbers differ with it. */
  seed?: number;
  rank?: number;
  targets?: readonly Target[];
  config?: object;
  own?: object;
  /** Further ones, by shape. */
  tensors?: Readonly<Record<string, number[]>>;
};

export async function writeDecoderAdapter(
  bench: CatalogBench,
  name: string,
  { seed = 1, rank = 2, targets = ["q_proj", "v_proj"], config, own, tensors }: MadeUpAdapter = {},
): Promise<void> {
  const folder = bench.local(name);
  await mkdir(folder, { recursive: true });
  const shapes: Record<string, readonly number[]> = { ...tensors };
  for (const target of targets) {
    const [outputs, inputs] = sizes[target];
    const layer = `base_model.model.model.layers.1.${parents[target]}.${target}`;
    shapes[`${layer}.lora_A.weight`] = [rank, inputs];
    shapes[`${layer}.lora_B.weight`] = [outputs, rank];
  }
  await writeSafetensors(
    path.join(folder, "adapter_model.safetensors"),
    Object.entries(shapes).map(([key, shape], index) => ({
      name: key,
      dtype: "float32" as const,
      shape: [...shape],
      load: () => {
        const count = shape.reduce((product, size) => product * size, 1);
        const from = 1 + seed * 13 + index;
        return Float32Array.from({ length: count }, (_, at) => Math.sin(from + at * 1.7));
      },
    })),
  );
  if (own !== undefined) await writeFile(path.join(folder, "llm-os.json"), JSON.stringify(own));
  const whole = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "tiny",
    r: rank,
    lora_alpha: 2 * rank,
    target_modules: targets,
    ...config,
  };
  await writeFile(path.join(folder, "adapter_config.json"), JSON.stringify(whole));
}
