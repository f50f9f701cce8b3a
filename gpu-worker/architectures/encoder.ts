/**
 * From a checkpoint's config and weights to a graph, whatever family of encoder it is. A family is a row of the table.
 */
import * as z from "zod";
import type { Problem } from "../model/model-head.ts";
import { autocastFloat16 } from "../onnx/autocast.ts";
import type { Graph } from "../onnx/graph.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { Architecture } from "./architecture.ts";
import { bert } from "./bert.ts";
import { deberta } from "./deberta.ts";
import { distilbert } from "./distilbert.ts";
import { electra } from "./electra.ts";
import type { EncoderOptions, Head, HeadName } from "./encoder-head.ts";
import { ConfigError, FamilyConfig, parseConfig } from "./parse-config.ts";
import { roberta, xlmRoberta } from "./roberta.ts";
import { buildTrainingTransformer } from "./training-encoder.ts";
import type { EncoderTrainingOptions } from "./training-encoder.ts";
import { tunedEncoderOf } from "./tuned-encoder.ts";
import type { TunedEncoder, TunedHead } from "./tuned-encoder.ts";
import { buildTransformer, buildTransformerRanges, defaultScoreBytes } from "./transformer.ts";
import { harmlessToEncoder, refuseUnread, watchReads } from "./unread-tensors.ts";

const families = new Map<string, z.ZodType<Architecture>>([
  ["bert", bert],
  ["deberta-v2", deberta],
  ["distilbert", distilbert],
  ["electra", electra],
  ["roberta", roberta],
  ["xlm-roberta", xlmRoberta],
]);

/** The `model_type`s that `buildEncoder` builds. */
export const encoderFamilies: readonly string[] = [...families.keys()];

/** Endings of transformers' class names (`BertForSequenceClassification`), and the head each has. */
const headOfClass: readonly (readonly [RegExp, Exclude<HeadName, "sentence">])[] = [
  [/ForSequenceClassification$/, "sequence-classification"],
  [/ForTokenClassification$/, "token-classification"],
  [/ForQuestionAnswering$/, "question-answering"],
  [/ForMaskedLM$|^BertForPreTraining$/, "masked-lm"],
  [/Model$|^ElectraForPreTraining$/, "none"],
];

/** The head the checkpoint was trained with, by its config.json. Throws `ConfigError` if we build none such. */
export function headOfCheckpoint(config: unknown): Head {
  familyOf(config);
  return headOfAnyFamily(config);
}

/** As `headOfCheckpoint`, for a graph that is there already: its family need not be one we build. */
export function headOfAnyFamily(config: unknown): Head {
  const [name = "Model"] = parseConfig(FamilyConfig, config).architectures ?? [];
  const row = headOfClass.find(([ending]) => ending.test(name));
  if (row === undefined) {
    const known =
      "a bare model or one for masked LM, question answering, sequence or token classification";
    throw new ConfigError(`config.json: no head is built for ${name}, only ${known}`);
  }
  return { name: row[1] };
}

const LabelsFile = z.looseObject({
  id2label: z.record(z.string(), z.coerce.string()).nullish(),
  num_labels: z.int().positive().nullish(),
  problem_type: z
    .enum(["single_label_classification", "multi_label_classification", "regression"])
    .nullish(),
});

/** As many as transformers makes where a config says nothing. */
const defaultLabels = 2;

/** Names of the classes of a classifier, by class. Throws `ConfigError` on a config whose classes are not 0, 1, 2 … */
export function labelsOf(config: unknown): string[] {
  const { id2label, num_labels: count } = parseConfig(LabelsFile, config);
  if (!id2label) return Array.from({ length: count ?? defaultLabels }, (_, at) => `LABEL_${at}`);
  const named = Object.keys(id2label).length;
  if (typeof count === "number" && count !== named) {
    throw new ConfigError(
      `config.json: num_labels is ${count}, but id2label names ${named} classes`,
    );
  }
  return Object.keys(id2label).map((_, at) => {
    const label = id2label[String(at)];
    if (label === undefined) throw new ConfigError(`config.json: id2label has no class ${at}`);
    return label;
  });
}

/**
 * Whether the classes exclude each other, each stands for itself, or the one is a number. As in transformers'
 * pipelines, one class alone does not make a regression: cross-encoders have one too.
 */
export function problemOf(config: unknown): Problem {
  const { problem_type: type } = parseConfig(LabelsFile, config);
  if (type === "multi_label_classification") return "multi_label";
  return type === "regression" ? "regression" : "single_label";
}

export type EncoderSizes = {
  /** Longest input in tokens. */
  readonly positions: number;
  readonly hidden: number;
  readonly vocabulary: number;
};

/** Throws `ConfigError` on a config we cannot build from. */
export function sizesOf(config: unknown): EncoderSizes {
  const { positions, hidden, vocabulary } = architectureOf(config);
  return { positions, hidden, vocabulary };
}

/** What attention and the feed-forward block take memory by. Throws as `sizesOf`. */
export function attentionOf(config: unknown) {
  const architecture = architectureOf(config);
  const { hidden, heads, intermediate, relative } = architecture;
  const scoreBytes = defaultScoreBytes(architecture);
  return { hidden, heads, intermediate, relative: relative !== null, scoreBytes };
}

/** Longest input in tokens; fewer than `max_position_embeddings` where a family leaves rows of its table unused. */
export function positionsOf(config: unknown): number {
  return sizesOf(config).positions;
}

/** What a checkpoint may put before the names of the encoder's tensors. Throws as `sizesOf`. */
export function prefixesOf(config: unknown): readonly string[] {
  return ["", ...architectureOf(config).prefixes];
}

/**
 * Whether its layers can take adapters of low rank: not where keys are computed of distances too. Throws as
 * `sizesOf`.
 */
export function takesAdapters(config: unknown): boolean {
  return architectureOf(config).relative === null;
}

function familyOf(config: unknown): z.ZodType<Architecture> {
  const { model_type: type } = parseConfig(FamilyConfig, config);
  const family = families.get(type);
  if (family !== undefined) return family;
  throw new ConfigError(`model_type ${type} is not built, only ${encoderFamilies.join(", ")}`);
}

function architectureOf(config: unknown): Architecture {
  const architecture = parseConfig(familyOf(config), config);
  const { hidden, heads, positions } = architecture;
  if (hidden % heads !== 0) {
    throw new ConfigError(
      `config.json: hidden size ${hidden} does not divide by ${heads} attention heads`,
    );
  }
  if (positions < 1)
    throw new ConfigError("config.json: max_position_embeddings leaves no room for a token");
  return architecture;
}

/**
 * `config` is config.json, parsed. `weights` are read when the graph is written: keep them open until then.
 * Throws `ConfigError` or `WeightError` on a checkpoint that is no such model.
 */
export function buildEncoder(
  config: unknown,
  weights: WeightSource,
  options: EncoderOptions,
): Graph {
  const graph = buildTransformer(architectureOf(config), weights, options);
  return options.form === "f16" ? autocastFloat16(graph) : graph;
}

/** As `buildEncoder`. Throws `WeightError` too where the weights hold what the graph would leave out. */
export function buildWholeEncoder(
  config: unknown,
  weights: WeightSource,
  options: EncoderOptions,
): Graph {
  const { source, read } = watchReads(weights);
  const graph = buildEncoder(config, source, options);
  const architecture = architectureOf(config);
  const { name, prefixes } = architecture;
  const isHarmless = harmlessToEncoder(architecture, options.head.name);
  refuseUnread(weights, read, { name, prefixes, isHarmless });
  return graph;
}

/** The graph that trains it, see training-encoder.ts. Throws as `buildEncoder`. */
export function buildTrainingEncoder(
  config: unknown,
  weights: WeightSource,
  options: EncoderTrainingOptions,
): Graph {
  return buildTrainingTransformer(architectureOf(config), weights, options);
}

/** How it is saved once it is tuned: see tuned-encoder.ts. Throws as `sizesOf`. */
export function tunedEncoder(config: unknown, head: TunedHead): TunedEncoder {
  const { model_type: family } = parseConfig(FamilyConfig, config);
  return tunedEncoderOf(architectureOf(config), family, head);
}

/** The graph that measures what the int8 form rounds by: see channel-ranges.ts. Throws as `buildEncoder`. */
export function buildRangesEncoder(config: unknown, weights: WeightSource): Graph {
  return buildTransformerRanges(architectureOf(config), weights);
}
