/**
 * Soft prompts (Lester et al., prompt tuning, https://arxiv.org/abs/2104.08691): vectors that were learnt, in places
 * where a text has no words. Their ids follow the vocabulary's, so that they stand anywhere in any row.
 */
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
