/**
 * Soft prompts (Lester et al., prompt tuning, https://arxiv.org/abs/2104.08691): vectors that were learnt, in places
 * where a text has no words. In a graph that trains, or is exported, their ids follow the vocabulary's, so that they
 * stand anywhere in any row; one that serves is given the vectors themselves, whosever they are, and costs one operator
 * more.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { encoderVirtualFrom } from "../model/virtual-tokens.ts";
import type { Parameters } from "./parameters.ts";

/** PEFT's name of the vectors, [n, width]. */
export const promptTable = "prompt_embeddings";

/**
 * `ids` int64 [...] → vectors [..., width]: what `words` gives for those below `vocabulary`, and of the virtual tokens
 * from there on, where the checkpoint has any.
 */
export function withVirtualTokens(
  parameters: Parameters,
  ids: Value,
  { vocabulary, width }: WordSizes,
  words: Words,
): Value {
  if (!parameters.has(promptTable)) return words(ids);
  const { graph } = parameters;
  const count = parameters.shapeOf(promptTable)[0] ?? 0;
  const table = parameters.tensor(promptTable, [count, width]);
  return chosenOf(graph, ids, { vocabulary, table, from: vocabulary }, words);
}

type WordSizes = { readonly vocabulary: number; readonly width: number };
type Words = (ids: Value) => Value;

/** Rows of `table` for ids from `from` on. */
function chosenOf(
  graph: GraphBuilder,
  ids: Value,
  {
    vocabulary,
    table,
    from,
  }: { readonly vocabulary: number; readonly table: Value; readonly from: number },
  words: Words,
): Value {
  const lastWord = graph.scalar("int64", vocabulary - 1);
  return ids
    .op("Greater", [lastWord])
    .unsqueeze([-1])
    .op("Where", [table.gather(ids.sub(from).max(0), 0), words(ids.op("Min", [lastWord]))]);
}

/** The vectors of all soft prompts of an encoder that are there, f32 [virtual, width]: at least one row. */
export const promptVectors = "soft_prompts";

/** The same of a graph that serves: a run is fed the vectors, whose ids begin at `encoderVirtualFrom`. */
export function withFedPrompts(
  graph: GraphBuilder,
  ids: Value,
  { vocabulary, width }: WordSizes,
  words: Words,
): Value {
  const table = graph.input(promptVectors, "float32", ["virtual", width]);
  return chosenOf(graph, ids, { vocabulary, table, from: encoderVirtualFrom }, words);
}

/** What a graph is given of soft prompts: row and token of each place, int64 [virtual, 2], and its vector. */
export const promptInputs = { places: "prompt_places", vectors: "prompt_vectors" } as const;

/**
 * `x` [batch, sequence, width] with the vectors that a run is given, which may be none.
 * @param rotation [width, width], what turns them as `x` is; null: it is as the checkpoint has it
 */
export function withPromptVectors(
  graph: GraphBuilder,
  x: Value,
  { width, rotation }: { readonly width: number; readonly rotation: Value | null },
): Value {
  const places = graph.input(promptInputs.places, "int64", ["virtual", 2]);
  const vectors = graph.input(promptInputs.vectors, "float32", ["virtual", width]);
  const turned = rotation === null ? vectors : vectors.matMul(rotation);
  return x.op("ScatterND", [places, turned]);
}
