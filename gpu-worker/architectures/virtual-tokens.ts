/**
 * Soft prompts (Lester et al., prompt tuning, https://arxiv.org/abs/2104.08691): vectors that were learnt, in places
 * where a text has no words. In a graph that trains, or is exported, their ids follow the vocabulary's, so that they stand
 * anywhere in any row; one that serves is given the vectors themselves, whosever they are, and costs one operator more.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
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
  { vocabulary, width }: { readonly vocabulary: number; readonly width: number },
  words: (ids: Value) => Value,
): Value {
  if (!parameters.has(promptTable)) return words(ids);
  const { graph } = parameters;
  const count = parameters.shapeOf(promptTable)[0] ?? 0;
  const lastWord = graph.scalar("int64", vocabulary - 1);
  const virtual = ids.sub(vocabulary).max(0);
  return ids
    .op("Greater", [lastWord])
    .unsqueeze([-1])
    .op("Where", [
      parameters.tensor(promptTable, [count, width]).gather(virtual, 0),
      words(ids.op("Min", [lastWord])),
    ]);
}

/** What a graph is given of soft prompts: row and token of each place, int64 [virtual, 2], and its vector. */
export const promptInputs = { places: "prompt_places", vectors: "prompt_vectors" } as const;

/** `x` [batch, sequence, width] with the vectors that a run is given, which may be none. */
export function withPromptVectors(graph: GraphBuilder, x: Value, width: number): Value {
  const places = graph.input(promptInputs.places, "int64", ["virtual", 2]);
  const vectors = graph.input(promptInputs.vectors, "float32", ["virtual", width]);
  return x.op("ScatterND", [places, vectors]);
}
