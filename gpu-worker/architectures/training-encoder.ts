/**
 * Encoders as graphs that train: tensors are inputs under their names in the checkpoint, a task's labels are further
 * inputs, and the loss is the output `loss`, f32 []. Without labels the same graph evaluates. What a checkpoint lacks
 * for its task (a new classifier, adapters of low rank, a table of word shapes, virtual tokens) is found among its
 * weights all the same: see training/start-tensors.ts.
 */
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Graph } from "../onnx/graph.ts";
import type { Value } from "../onnx/value.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { Architecture } from "./architecture.ts";
import type { Head, SentenceHead } from "./encoder-head.ts";
import { asRows, classifier, encoderHead, labelsOf, vocabularyLogits } from "./encoder-heads.ts";
import type { HeadInputs } from "./encoder-heads.ts";
import type { Dropout } from "./layer-forms.ts";
import { noDropout } from "./layer-forms.ts";
import { binaryCrossEntropy, cosineError, crossEntropy, inBatchContrast } from "./losses.ts";
import { meanSquaredError, slicedCrossEntropy, slicedTokenScores } from "./losses.ts";
import { Parameters } from "./parameters.ts";
import { pooledVectors } from "./sentence-head.ts";
import { trainableLayers, trainingPrefixes } from "./trainable-layers.ts";
import { buildEncoderWith } from "./transformer.ts";

/** Tasks that an encoder is trained for, and the inputs that say what is right. */
export type EncoderTask =
  /** `labels` int64 [batch], or f32 [batch, labels] of several classes at once, or f32 [batch] of a number. */
  | {
      readonly name: "sequence-classification";
      readonly problem: "single_label" | "multi_label" | "regression";
      /** Of the vectors that a linear classifier reads, as an adapter's does. Absent: the family's own head. */
      readonly pooling?: SentenceHead["pooling"];
    }
  /** `labels` int64 [batch, sequence], −100 for a token that does not count. */
  | { readonly name: "token-classification" }
  /** `start_positions` and `end_positions` int64 [batch]. */
  | { readonly name: "question-answering" }
  /**
   * `positions` int64 [masked], tokens by their index in the flattened [batch · sequence], and `labels` int64 [masked].
   * The vocabulary is scored in `slices` of them, where all their logits would be too many. Gives no logits;
   * `scored`: `log_likelihoods` f32 [masked] instead.
   */
  | { readonly name: "masked-lm"; readonly slices?: number; readonly scored?: boolean }
  /**
   * Gives `sentence_embedding` f32 [batch, width]. By contrast the rows of a batch are texts, then candidates, and
   * `labels` int64 [texts] are the indices of those that belong to them; by cosine they are all first texts of pairs,
   * then all second ones, and `labels` f32 [pairs] are what their cosines should be.
   */
  | {
      readonly name: "similarity";
      readonly pooling: SentenceHead["pooling"];
      readonly by: "contrast" | "cosine";
    }
  /**
   * How two parts of a text relate, from the means of their tokens' vectors and of all: `head_mask` and `tail_mask`
   * int64 [batch, sequence], 1 for a token of the part, and `labels` int64 [batch].
   */
  | { readonly name: "relation" };

export type TrainingOptions = {
  /**
   * Which of the checkpoint's tensors, by its names, are inputs: those that are trained, and frozen ones that the
   * runtime is to hold once, for all graphs. A constant is packed anew for each product that reads it: SmolLM2 takes
   * 620 MB more.
   */
  readonly isInput: (name: string) => boolean;
  /** Factor of adapters of low rank, see `loraScale`. Default 1. */
  readonly loraScale?: number;
  /** Default: none. */
  readonly dropout?: (graph: GraphBuilder) => Dropout;
};

export type EncoderTrainingOptions = TrainingOptions & {
  readonly task: EncoderTask;
  /** Whether the graph has the task's labels and `loss`. Default true; false: its logits alone. */
  readonly labelled?: boolean;
  /** Of a loss by classes of texts, relations or tokens, see `crossEntropy`. Default 0. */
  readonly labelSmoothing?: number;
  /** Whether layers leave padding out (token-rows.ts). Default false. */
  readonly packed?: boolean;
  /** Tokens that the table of words has rows of, see `Embeddings`. Default: all. */
  readonly words?: readonly number[];
};

type Task<N extends EncoderTask["name"]> = Extract<EncoderTask, { name: N }>;

const batch = ["batch"];
const grid = ["batch", "sequence"];

type Labelled = {
  readonly inputs: HeadInputs;
  readonly isLabelled: boolean;
  readonly labelSmoothing: number;
};

/** The checkpoint's own head. */
function logitsOf(inputs: HeadInputs, head: Head, name = "logits"): Value {
  const logits = encoderHead(inputs, head)[name];
  if (logits === undefined) throw new TypeError(`the head gives no ${name}`);
  return logits;
}

/** Of a linear classifier on the vectors of texts. */
function pooledLogits(inputs: HeadInputs, pooling: SentenceHead["pooling"]): Value {
  const { graph } = inputs.parameters;
  const features = pooledVectors(graph, inputs, { pooling, normalize: false });
  const logits = classifier(inputs, features, "classifier", labelsOf(undefined));
  graph.output("logits", logits);
  return logits;
}

function sequenceLoss(
  { inputs, isLabelled, labelSmoothing }: Labelled,
  { problem, pooling }: Task<"sequence-classification">,
) {
  const { graph } = inputs.parameters;
  const logits =
    pooling === undefined
      ? logitsOf(inputs, { name: "sequence-classification" })
      : pooledLogits(inputs, pooling);
  if (!isLabelled) return null;
  switch (problem) {
    case "single_label": {
      const rows = { logits, labels: graph.input("labels", "int64", batch) };
      return crossEntropy(graph, rows, labelSmoothing);
    }
    case "multi_label": {
      const labels = graph.input("labels", "float32", ["batch", Number(logits.shape[1])]);
      return binaryCrossEntropy(graph, logits, labels);
    }
    case "regression":
      return meanSquaredError(graph, logits.squeeze([1]), graph.input("labels", "float32", batch));
  }
}

function tokenLoss({ inputs, isLabelled, labelSmoothing }: Labelled): Value | null {
  const { graph } = inputs.parameters;
  const logits = logitsOf(inputs, { name: "token-classification" });
  if (!isLabelled) return null;
  const labels = graph.input("labels", "int64", grid).reshape([-1]);
  const rows = { logits: asRows(logits, Number(logits.shape[2])), labels };
  return crossEntropy(graph, rows, labelSmoothing);
}

function answerLoss({ inputs, isLabelled }: Labelled): Value | null {
  const { graph } = inputs.parameters;
  const { start_logits: start, end_logits: end } = encoderHead(inputs, {
    name: "question-answering",
  });
  if (start === undefined || end === undefined) throw new TypeError("an answer has two ends");
  if (!isLabelled) return null;
  const lossOfEnd = (logits: Value, name: string) =>
    crossEntropy(graph, { logits, labels: graph.input(name, "int64", batch) });
  return lossOfEnd(start, "start_positions").add(lossOfEnd(end, "end_positions")).div(2);
}

function maskedLoss(
  { inputs, isLabelled }: Labelled,
  { slices = 1, scored = false }: Task<"masked-lm">,
) {
  const { graph } = inputs.parameters;
  if (!isLabelled) {
    encoderHead(inputs, { name: "masked-lm", at: "positions" });
    return null;
  }
  const positions = graph.input("positions", "int64", ["masked"]);
  const states = asRows(inputs.hidden, inputs.architecture.hidden).gather(positions, 0);
  const labels = graph.input("labels", "int64", ["masked"]);
  const score = (rows: Value) => vocabularyLogits(inputs, rows);
  const rows = { states, labels, slices };
  if (scored) {
    graph.output("log_likelihoods", slicedTokenScores(graph, rows, score).logLikelihoods);
    return null;
  }
  return slicedCrossEntropy(graph, rows, score);
}

function similarityLoss({ inputs, isLabelled }: Labelled, { pooling, by }: Task<"similarity">) {
  const { graph } = inputs.parameters;
  const vectors = pooledVectors(graph, inputs, { pooling, normalize: true });
  graph.output("sentence_embedding", vectors);
  if (!isLabelled) return null;
  return by === "contrast"
    ? inBatchContrast(graph, vectors, graph.input("labels", "int64", ["texts"]))
    : cosineError(graph, vectors, graph.input("labels", "float32", ["texts"]));
}

function relationLoss({ inputs, isLabelled, labelSmoothing }: Labelled): Value | null {
  const { graph } = inputs.parameters;
  const mean = (mask: Value) =>
    pooledVectors(graph, { hidden: inputs.hidden, mask }, { pooling: "mean", normalize: false });
  const part = (name: string) => mean(graph.input(name, "int64", grid).cast("float32"));
  const parts = [part("tail_mask"), mean(inputs.mask)];
  const features = part("head_mask").op("Concat", parts, { axis: 1 });
  const logits = classifier(inputs, features, "classifier", labelsOf(undefined));
  graph.output("logits", logits);
  if (!isLabelled) return null;
  const rows = { logits, labels: graph.input("labels", "int64", batch) };
  return crossEntropy(graph, rows, labelSmoothing);
}

function lossOf(given: Labelled, task: EncoderTask): Value | null {
  switch (task.name) {
    case "sequence-classification":
      return sequenceLoss(given, task);
    case "token-classification":
      return tokenLoss(given);
    case "question-answering":
      return answerLoss(given);
    case "masked-lm":
      return maskedLoss(given, task);
    case "similarity":
      return similarityLoss(given, task);
    case "relation":
      return relationLoss(given);
  }
}

/** Whether a task's head reads each text's first token alone. */
function readsFirst(task: EncoderTask): boolean {
  switch (task.name) {
    case "sequence-classification":
      return task.pooling === undefined || task.pooling === "cls";
    case "similarity":
      return task.pooling === "cls";
    default:
      return false;
  }
}

/** Reads `weights` when the graph is written: keep them open until then. */
export function buildTrainingTransformer(
  { embeddings, ...others }: Architecture,
  weights: WeightSource,
  options: EncoderTrainingOptions,
): Graph {
  const { task, labelled = true, packed = false, words, isInput, loraScale = 1 } = options;
  const { labelSmoothing = 0 } = options;
  const architecture: Architecture = {
    ...others,
    embeddings: words === undefined ? embeddings : { ...embeddings, words },
  };
  const graph = new GraphBuilder(`${architecture.name}-training`, { task: task.name });
  const prefixes = trainingPrefixes(architecture.prefixes);
  const parameters = new Parameters(graph, weights, prefixes, isInput);
  const layers = trainableLayers(parameters, loraScale);
  const dropout = options.dropout?.(graph) ?? noDropout;
  const forms = { layers, exact: layers, dropout };
  return buildEncoderWith(
    {
      architecture,
      reads: readsFirst(task) ? "first" : "all",
      parameters,
      forms,
      packed,
      trained: true,
      scoreBytes: null,
    },
    (inputs) => {
      const loss = lossOf({ inputs, isLabelled: labelled, labelSmoothing }, task);
      if (loss !== null) graph.output("loss", loss);
    },
  );
}
