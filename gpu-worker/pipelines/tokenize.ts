/** The tokens of texts, however long, and where each stands. Runs no model. */
import type { TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { placesIn } from "./offsets.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { type TextTokens, encodeTexts } from "./text-tokens.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export const tokenize: EncoderPipeline<"tokenize"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, { tokenizer }, { signal }) {
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const outputs: TaskOutput<"tokenize">[] = [];
    for await (const tokens of encodeTexts(texts, tokenizer, { signal })) {
      outputs.push(answerOf(tokens, tokenizer, parameters));
    }
    return { outputs, usage: { promptTokens: 0 }, warnings: [] };
  },
};

function answerOf(
  { text, ids, offsets }: TextTokens,
  tokenizer: Tokenizer,
  { add_special_tokens: special = true, offset_unit: unit }: TaskParameters<"tokenize">,
): TaskOutput<"tokenize"> {
  const placeOf = placesIn(text, unit);
  const places = offsets.map(([start, end]): [number, number] => [placeOf(start), placeOf(end)]);
  if (!special) return { tokens: [...ids], count: ids.length, offsets: places };
  const { ids: tokens, starts } = tokenizer.wrap(ids);
  const first = starts[0] ?? 0;
  return {
    tokens,
    count: tokens.length,
    offsets: tokens.map((_, at) => places[at - first] ?? [0, 0]),
  };
}
