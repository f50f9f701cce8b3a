/** A tuned model, as a training worker names it. */
import type { TunedModel } from "../../../contract/training/tuned-model.ts";

const hex = "0".repeat(64);

export function tunedModel(changed: Partial<TunedModel> = {}): TunedModel {
  return {
    name: `ft:all-MiniLM-L6-v2::${"0".repeat(32)}`,
    digest: hex,
    files: [
      { path: "adapter_model.safetensors", object: { key: "tuned/x", bytes: 3, sha256: hex } },
    ],
    base: "all-MiniLM-L6-v2",
    kind: "adapter",
    tasks: ["text-classification"],
    limits: { maxTokens: 256, dimensions: null, vocabularySize: 30_522 },
    bytes: 3,
    licence: "apache-2.0",
    createdAt: 1_764_336_000_000,
    ...changed,
  };
}
