/**
 * What a training will take, told before it starts: seconds and bytes, from the sizes of the model and the lengths of
 * the examples. Pure. Products of matrices count by their operations, the optimizer by the parameters it goes through.
 */
import { sum } from "../tensor/vectors.ts";
import {
  isAdapterStrategy,
  type TrainingPlan,
  usualLora,
  usualSoftPrompt,
} from "./training-plan.ts";

export type CostFacts = {
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  /** Numbers in all tensors. */
  readonly parameters: number;
  /** Those of the word embeddings that no text reads, and that are not trained (read-words.ts). Absent: none. */
  readonly unread?: number;
  /** Whether the head reads each text's first token alone: the last layer then computes no others. Absent: no. */
  readonly readsFirst?: boolean;
  /** Tokens that are scored for some of an example's, of a masked head. Absent: none. */
  readonly scored?: number;
  /** Tokens of each example. */
  readonly lengths: { readonly training: readonly number[]; readonly heldOut: readonly number[] };
};

export type CostOptions = Pick<TrainingPlan, "strategy" | "layers" | "epochs" | "batch"> &
  Partial<Pick<TrainingPlan, "lora" | "softPrompt">>;

/** Of what products alone reach, measured with MiniLM in batches of 16 × 64 and of CoNLL-2003's sentences. */
const efficiency = 0.85;
/** AdamW, measured at 3.8 to 4.6 ms a million parameters on two cores. */
export const secondsPerParameter = 4.2e-9;
export const evaluations = 5;

/** Of an example's tokens that a masked head is asked for. */
const scoredShare = 0.15;

/** Inputs and outputs of a layer's four adapters together, in widths; the feed-forward block is four wide. */
const loraWidths = 14;

/** Numbers of a layer's four attention matrices and its feed-forward block. */
function layerParameters({ hidden, intermediate }: CostFacts): number {
  return 4 * hidden ** 2 + 2 * hidden * intermediate;
}

function trainedLayers(facts: CostFacts, { strategy, layers }: CostOptions): number {
  if (strategy === "head") return 0;
  return strategy !== "top-k" ? facts.layers : Math.min(layers, facts.layers);
}

function trainedParameters(facts: CostFacts, options: CostOptions): number {
  if (options.strategy === "full") return facts.parameters - (facts.unread ?? 0);
  if (options.strategy === "lora") {
    const { rank } = options.lora ?? usualLora;
    return facts.layers * loraWidths * facts.hidden * rank;
  }
  if (options.strategy === "soft-prompt") {
    return facts.hidden * (options.softPrompt ?? usualSoftPrompt).virtualTokens;
  }
  return trainedLayers(facts, options) * layerParameters(facts) + facts.hidden ** 2;
}

/** Layers that a token goes through, about: of a last one that computes first tokens, keys and values alone. */
function layersOfToken(facts: CostFacts, { strategy }: CostOptions): number {
  const leavesOut = facts.readsFirst && (strategy === "full" || strategy === "top-k");
  return leavesOut
    ? facts.layers - 1 + (2 * facts.hidden ** 2) / layerParameters(facts)
    : facts.layers;
}

/** Of one pass forward over texts of these lengths. */
function operations(facts: CostFacts, options: CostOptions, lengths: readonly number[]): number {
  const layers = layersOfToken(facts, options);
  const scores = scoredShare * (facts.scored ?? 0) * facts.hidden;
  const perToken = 2 * (layerParameters(facts) * layers + scores);
  const attention = 4 * facts.hidden * layers * sum(lengths.map((length) => length ** 2));
  return perToken * sum(lengths) + attention;
}

/** @param gemmRate operations a second that products of matrices reach here */
export function estimateSeconds(facts: CostFacts, options: CostOptions, gemmRate: number): number {
  const { training, heldOut } = facts.lengths;
  const rate = gemmRate * efficiency;
  const forward = operations(facts, options, training) / rate;
  const judged = (operations(facts, options, heldOut) / rate) * evaluations;
  if (options.strategy === "head") return forward + judged / evaluations;
  // Of frozen matrices the gradients by their inputs alone are computed.
  const products = isAdapterStrategy(options.strategy) ? 1 : 2;
  const backward = (products * trainedLayers(facts, options)) / facts.layers;
  const steps = Math.ceil(training.length / options.batch);
  const updates = steps * trainedParameters(facts, options) * secondsPerParameter;
  return options.epochs * (forward * (1 + backward) + updates) + judged;
}

const bytesPerNumber = 4;
/** Of the process, its code and the runtime, before any model. */
export const processBytes = 400e6;
/** A token's values of `hidden` and of `intermediate` features that a layer keeps for its gradients. */
const keptHidden = 18;
const keptIntermediate = 5;
/** Copies of attention's scores: scores, probabilities, what dropout left of them, their gradient. */
const keptScores = 4;

/** The most bytes that it will take at once, with the copies of parameters that are kept and saved. */
export function estimateBytes(facts: CostFacts, options: CostOptions): number {
  const { hidden, intermediate, heads, lengths, parameters } = facts;
  const trained = trainedParameters(facts, options);
  const longest = lengths.training.reduce((most, length) => Math.max(most, length), 1);
  const tokens = longest * options.batch;
  const kept = keptHidden * hidden + keptIntermediate * intermediate + keptScores * heads * longest;
  const layers = Math.max(1, trainedLayers(facts, options));
  const scores = keptScores * scoredShare * (facts.scored ?? 0) * tokens;
  // Beside the parameter a gradient, two states of AdamW, the best so far, and a copy of all while it is saved.
  const copies = 7 * trained;
  return processBytes + bytesPerNumber * (parameters + copies + tokens * kept * layers + scores);
}

/**
 * The most bytes of files at once: parameters in two graphs and in what comes out, and of those that are trained two
 * states (the one before is removed last), each with the optimizer's and the best so far.
 */
export function diskOf(parameters: number, trained: number): number {
  return bytesPerNumber * (3 * parameters + 2 * 4 * trained);
}

export function estimateDisk(facts: CostFacts, options: CostOptions): number {
  return diskOf(facts.parameters, trainedParameters(facts, options));
}
