/**
 * The two graphs of a decoder's training: one that takes a step of AdamW, and one that scores tokens. Which tensors are
 * trained is the strategy's choice.
 */
import { buildTrainingDecoder } from "../architectures/decoder.ts";
import { layerOutputs } from "../architectures/layer-outputs.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { gradient } from "../autodiff/gradient.ts";
import { adamW } from "../autodiff/optimizers/adam-w.ts";
import { randomFrom } from "#contract/random.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { type AdapterStart, continuedTensors } from "./continued.ts";
import { loraScale, newAdapters } from "./start-tensors.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import type { TrainingPlan } from "./training-plan.ts";

/** The layers that get adapters: all of a block, as QLoRA found to matter (https://arxiv.org/abs/2305.14314). */
export const decoderTargets = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** What transformers' classes for causal LM put before the names of their base. */
const classPrefix = "model.";

const weightDecay = 0.01;
const maxNorm = 1;
/** Parts in which an evaluation scores its tokens: their logits are the largest of its values. */
const scoreSlices = 4;

/**
 * `weights` with adapters that change nothing yet, or as they were. Closing it closes `weights`.
 * @param before the adapter that it goes on from; null: it begins
 */
export function withDecoderAdapters(
  weights: WeightSource,
  { seed, lora }: TrainingPlan,
  before: AdapterStart | null = null,
): WeightSource {
  const options = { rank: lora.rank, targets: decoderTargets, prefix: classPrefix };
  const started = newAdapters(weights, options, randomFrom(seed));
  const tensors = before === null ? started : continuedTensors(started, before.tensors);
  return layeredWeights(memoryWeights(tensors), weights);
}

/** Which tensors a strategy trains. @param layerCount of the model */
function trainedBy({ strategy, layers }: TrainingPlan, layerCount: number) {
  if (strategy === "lora") return (name: string) => name.startsWith(peftPrefix);
  if (strategy === "soft-prompt") return (name: string) => name === promptTable;
  if (strategy === "full") return () => true;
  const last = new Set(Array.from({ length: layers }, (_, at) => `${layerCount - 1 - at}`));
  return (name: string) => {
    const [, layer] = /(?:^|\.)layers\.(\d+)\./.exec(name) ?? [];
    // Beside layers the last norm and an output layer of its own; the embedding stays.
    return layer === undefined ? !name.includes("embed_tokens") : last.has(layer);
  };
}

/**
 * Norms and biases are not decayed, as in transformers' Trainer, nor are adapters, which begin at zero, and virtual
 * tokens, which begin as words.
 */
function isPlain(name: string): boolean {
  if (name.startsWith(peftPrefix) || name === promptTable) return true;
  return name.endsWith("norm.weight") || name.endsWith("bias");
}

/**
 * Reads `weights` when the graphs are written: keep them open until then.
 * @param positions tokens of the longest text
 */
export function decoderGraphs(
  config: unknown,
  weights: WeightSource,
  { plan, positions, layerCount }: { plan: TrainingPlan; positions: number; layerCount: number },
): TrainingGraphs {
  const shared = { positions, loraScale: loraScale(plan.lora), isInput: () => true };
  const forward = buildTrainingDecoder(config, weights, shared);
  const read = forward.inputs.map(({ name }) => name).filter((name) => weights.entry(name));
  const trained = read.filter(trainedBy(plan, layerCount));
  const groups = [
    { parameters: trained.filter((name) => !isPlain(name)), weightDecay },
    { parameters: trained.filter(isPlain), weightDecay: 0 },
  ].filter(({ parameters }) => parameters.length > 0);
  const checkpoints = plan.recomputes ? layerOutputs(forward) : [];
  const gradients = gradient(forward, { loss: "loss", parameters: trained, checkpoints });
  return {
    update: adamW(gradients, { groups, maxNorm }),
    evaluation: buildTrainingDecoder(config, weights, {
      ...shared,
      gives: "scores",
      slices: scoreSlices,
    }),
    read,
    trained,
  };
}
