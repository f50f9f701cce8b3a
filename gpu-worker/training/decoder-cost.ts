/**
 * What a decoder's training will take, told before it starts: seconds and bytes, from the sizes of the model and the
 * lengths of the examples. Pure. See training-cost.ts, which tells the same of encoders.
 */
import type { DecoderArchitecture } from "../architectures/decoder-architecture.ts";
import { sum } from "../tensor/vectors.ts";
import { decoderTargets } from "./decoder-graphs.ts";
import type { LearntRow } from "./learnt-rows.ts";
import { diskOf, evaluations, processBytes, secondsPerParameter } from "./training-cost.ts";
import { isAdapterStrategy, usualSoftPrompt } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";

/** Tokens of a text, and how many of them are learnt. */
export type TextLength = { readonly tokens: number; readonly learnt: number };

export type DecoderFacts = {
  readonly architecture: DecoderArchitecture;
  /** Numbers in all tensors. */
  readonly parameters: number;
  readonly training: readonly TextLength[];
  readonly heldOut: readonly TextLength[];
};

/** Of a training step's operations, as part of what products alone reach: the rest of the graph, and padding. */
const efficiency = 0.6;

export type DecoderOptions = Pick<
  TrainingPlan,
  "strategy" | "layers" | "lora" | "epochs" | "batch" | "recomputes"
> &
  Partial<Pick<TrainingPlan, "softPrompt">>;

/** @param virtual tokens before each */
export function lengthsOf(rows: readonly LearntRow[], virtual: number): TextLength[] {
  return rows.map(({ ids, learnt }) => ({ tokens: virtual + ids.length, learnt: learnt.length }));
}

function widths({ hidden, heads, keyValueHeads, headWidth, intermediate }: DecoderArchitecture) {
  return { hidden, query: heads * headWidth, shared: keyValueHeads * headWidth, intermediate };
}

/** Numbers of a layer's matrices. */
function layerParameters(architecture: DecoderArchitecture): number {
  const { hidden, query, shared, intermediate } = widths(architecture);
  return hidden * (2 * query + 2 * shared + 3 * intermediate);
}

/** Inputs and outputs of a layer's adapters together. */
function adapterWidths(architecture: DecoderArchitecture): number {
  const { hidden, query, shared, intermediate } = widths(architecture);
  const of: Readonly<Record<(typeof decoderTargets)[number], number>> = {
    q_proj: hidden + query,
    k_proj: hidden + shared,
    v_proj: hidden + shared,
    o_proj: query + hidden,
    gate_proj: hidden + intermediate,
    up_proj: hidden + intermediate,
    down_proj: intermediate + hidden,
  };
  return sum(decoderTargets.map((target) => of[target]));
}

function trainedLayers(
  { architecture }: Pick<DecoderFacts, "architecture">,
  { strategy, layers }: Strategy,
) {
  const count = architecture.layers.length;
  return strategy === "top-k" ? Math.min(layers, count) : count;
}

function trainedParameters(facts: DecoderFacts, options: DecoderOptions): number {
  const { architecture, parameters } = facts;
  if (options.strategy === "full") return parameters;
  if (options.strategy === "soft-prompt") {
    return (options.softPrompt ?? usualSoftPrompt).virtualTokens * architecture.hidden;
  }
  const layers = trainedLayers(facts, options);
  return options.strategy === "lora"
    ? layers * adapterWidths(architecture) * options.lora.rank
    : layers * layerParameters(architecture);
}

/** Of one pass forward. */
function operations(architecture: DecoderArchitecture, texts: readonly TextLength[]): number {
  const { layers, hidden, vocabulary } = architecture;
  const { query } = widths(architecture);
  const tokens = sum(texts.map((text) => text.tokens));
  const attended = sum(texts.map((text) => text.tokens ** 2));
  const learnt = sum(texts.map((text) => text.learnt));
  const ofLayer = 2 * layerParameters(architecture) * tokens + 4 * query * attended;
  return layers.length * ofLayer + 2 * hidden * vocabulary * learnt;
}

type Strategy = Pick<DecoderOptions, "strategy" | "layers">;

/** Of one pass over all texts, forward and backward: of frozen matrices the gradients by their inputs alone. */
export function trainingOperations(
  { architecture, training }: Pick<DecoderFacts, "architecture" | "training">,
  options: Strategy,
): number {
  const share = trainedLayers({ architecture }, options) / architecture.layers.length;
  const backward = (isAdapterStrategy(options.strategy) ? 1 : 2) * share;
  return operations(architecture, training) * (1 + backward);
}

/** @param gemmRate operations a second that products of matrices reach here */
export function decoderSeconds(
  facts: DecoderFacts,
  options: DecoderOptions,
  gemmRate: number,
): number {
  const { architecture, training, heldOut } = facts;
  const rate = gemmRate * efficiency;
  const again = options.recomputes ? operations(architecture, training) : 0;
  const pass = (trainingOperations(facts, options) + again) / rate;
  const judged = operations(architecture, heldOut) / rate;
  const steps = Math.ceil(facts.training.length / options.batch);
  const updates = steps * trainedParameters(facts, options) * secondsPerParameter;
  return options.epochs * (pass + updates) + judged * (evaluations + 2);
}

const bytesPerNumber = 4;
/** Values of a token, of so many features each, that a layer keeps for its gradients; copies of attention's scores. */
const kept = { hidden: 7, query: 4, intermediate: 5, scores: 3 };
/** Of the logits of tokens that are learnt. */
const logitCopies = 4;

/** The most bytes that it will take at once, with the copies of parameters that are kept and saved. */
export function decoderBytes(facts: DecoderFacts, options: DecoderOptions): number {
  const { architecture, parameters, training } = facts;
  const { heads, vocabulary } = architecture;
  const { hidden, query, intermediate } = widths(architecture);
  const longest = training.toSorted((a, b) => b.tokens - a.tokens).slice(0, options.batch);
  const tokens = sum(longest.map((text) => text.tokens));
  const row = Math.max(256, longest[0]?.tokens ?? 0);
  const ofToken =
    kept.hidden * hidden +
    kept.query * query +
    kept.intermediate * intermediate +
    kept.scores * heads * row;
  const layers = Math.max(1, trainedLayers(facts, options));
  const layered = options.recomputes ? ofToken + layers * hidden : ofToken * layers;
  const logits = logitCopies * vocabulary * sum(longest.map((text) => text.learnt));
  // Beside the parameter a gradient, two states of AdamW, the best so far, and a copy of all while it is saved.
  const copies = 7 * trainedParameters(facts, options);
  return processBytes + bytesPerNumber * (parameters + copies + tokens * layered + logits);
}

/** The most bytes of files at once. */
export function decoderDisk(facts: DecoderFacts, options: DecoderOptions): number {
  return diskOf(facts.parameters, trainedParameters(facts, options));
}
