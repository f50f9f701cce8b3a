/**
 * How a GPU's memory is shared out: each session may take its weights and, besides, what its largest batch computes
 * (`gpu_mem_limit`). ONNX Runtime keeps what a session has once taken, so the whole of it counts against the bound on
 * loaded models, and batches are no larger than fits. Pure.
 */
import type { ModelLimits } from "#contract/model-limits.ts";

export type DeviceMemory = {
  /** Bytes of all sessions together. */
  budget: number;
  /** Bytes of a session besides its weights. */
  runBytes: number;
};

/** The rest is for the CUDA context, the libraries' own workspaces, and others on the machine. */
const share = 0.85;
/** Sessions that fit beside each other, if their weights are small. */
const sessions = 8;
const runBytesMin = 256 * 2 ** 20;
const runBytesMax = 4 * 2 ** 30;
/** Where the GPU does not say how much it has: the smallest that CUDA 13 is found on. */
const unknownBytes = 4 * 2 ** 30;

/** @param total bytes of the GPU, 0 where not known. @param set bytes, as the operator says; null: most of the GPU */
export function deviceMemory(total: number, set: number | null): DeviceMemory {
  const budget = set ?? share * (total > 0 ? total : unknownBytes);
  const least = Math.min(runBytesMin, budget / 2);
  return { budget, runBytes: Math.min(runBytesMax, Math.max(least, budget / sessions)) };
}

/**
 * f32 values of a token that are alive at once, by features: states, sums and casts beside a feed-forward four times as
 * wide.
 */
const valuesPerFeature = 16;
/** Bytes of a score: f16, f32 with its mask, softmax, f16 again. */
const bytesPerScore = 12;
const headWidth = 64;
/** Of a large encoder, where the model's files do not tell. */
const usualFeatures = 1_024;

/** Tokens of a batch whose rows are as long as the model reads. */
export function batchTokensMax(
  { runBytes }: DeviceMemory,
  { dimensions, maxTokens }: Pick<ModelLimits, "dimensions" | "maxTokens">,
): number {
  const features = dimensions ?? usualFeatures;
  const states = 4 * valuesPerFeature * features;
  const scores = bytesPerScore * Math.ceil(features / headWidth) * maxTokens;
  return Math.max(maxTokens, Math.floor(runBytes / (states + scores)));
}
