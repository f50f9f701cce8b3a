/**
 * The two graphs of an encoder's training: one that takes a step of AdamW, and one that evaluates. Which tensors are
 * trained is the strategy's choice.
 */
import { shapeTable } from "../architectures/embedding.ts";
import { buildTrainingEncoder } from "../architectures/encoder.ts";
import type { EncoderTask } from "../architectures/training-encoder.ts";
import { gradient } from "../autodiff/gradient.ts";
import { adamW } from "../autodiff/optimizers/adam-w.ts";
import type { Graph } from "../onnx/graph.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { encoderDropout, usualRates } from "./encoder-dropout.ts";

export type TrainingGraphs = {
  readonly update: Graph;
  readonly evaluation: Graph;
  /** Names of tensors that the graphs read, and of those among them that are trained. */
  readonly read: readonly string[];
  readonly trained: readonly string[];
};

export type GraphOptions = {
  readonly task: EncoderTask;
  /** By the checkpoint's own names. */
  readonly isTrained: (name: string) => boolean;
  readonly loraScale?: number;
  /** Of the loss that is trained by; what evaluates has none. Default 0. */
  readonly labelSmoothing?: number;
  /** Tokens that the table of words has rows of (read-words.ts). Default: all. */
  readonly words?: readonly number[];
  /** Factor of the learning rate for the table of word shapes. */
  readonly shapesRate: number;
  /** A head that learns at another rate than what it reads: its layer, and the rate's factor. */
  readonly head?: { readonly layer: string; readonly rate: number };
};

const weightDecay = 0.01;
const maxNorm = 1;

/** Biases and norms are not decayed, as in transformers' Trainer. */
function isPlain(name: string): boolean {
  return name.endsWith("bias") || name.endsWith("beta") || name.includes("LayerNorm");
}

function isShapes(name: string): boolean {
  return name.endsWith(shapeTable);
}

/** Reads `weights` when the graphs are written: keep them open until then. */
export function trainingGraphs(
  config: unknown,
  weights: WeightSource,
  { task, isTrained, loraScale = 1, labelSmoothing = 0, words, shapesRate, head }: GraphOptions,
): TrainingGraphs {
  const some = words === undefined ? {} : { words };
  const shared = { task, loraScale, packed: true, isInput: () => true, ...some };
  const dropout = encoderDropout(usualRates);
  const forward = buildTrainingEncoder(config, weights, { ...shared, dropout, labelSmoothing });
  const read = forward.inputs.map(({ name }) => name).filter((name) => weights.entry(name));
  const trained = read.filter(isTrained);
  const isHead = (name: string) => head !== undefined && name.startsWith(`${head.layer}.`);
  const others = trained.filter((name) => !isShapes(name) && !isHead(name));
  const ofHead = trained.filter(isHead);
  const headRate = { rate: head?.rate ?? 1 };
  const groups = [
    { parameters: others.filter((name) => !isPlain(name)), weightDecay },
    { parameters: others.filter(isPlain), weightDecay: 0 },
    { parameters: ofHead.filter((name) => !isPlain(name)), weightDecay, ...headRate },
    { parameters: ofHead.filter(isPlain), weightDecay: 0, ...headRate },
    { parameters: trained.filter(isShapes), weightDecay: 0, rate: shapesRate },
  ].filter(({ parameters }) => parameters.length > 0);
  const update = adamW(gradient(forward, { loss: "loss", parameters: trained }), {
    groups,
    maxNorm,
  });
  const judged = task.name === "masked-lm" ? { ...task, scored: true } : task;
  const evaluation = buildTrainingEncoder(config, weights, { ...shared, task: judged });
  return { update, evaluation, read, trained };
}
