/** Models as a tenant keeps them, made up. */
import type { TunedModel } from "../../contract/training/tuned-model.ts";

let models = 0;

/** One nobody has seen before. */
export function tunedModel(changes: Partial<TunedModel> = {}): TunedModel {
  models += 1;
  const id = String(models).padStart(32, "0");
  const file = (path: string) => ({
    path,
    object: { key: `tuned/${id}/${path}`, bytes: 10, sha256: "ab".repeat(32) },
  });
  return {
    name: `ft:all-MiniLM-L6-v2:mine:${id}`,
    digest: "cd".repeat(32),
    files: [file("adapter_config.json"), file("adapter_model.safetensors")],
    base: "all-MiniLM-L6-v2",
    kind: "adapter",
    tasks: ["text-classification"],
    limits: { maxTokens: 128, dimensions: null, vocabularySize: 30_522 },
    bytes: 20,
    licence: "apache-2.0",
    createdAt: 1_764_336_000_000 + models,
    ...changes,
  };
}
