/** The tokens of texts, however long, and the offsets of each. Runs no model. */
import type { TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { offsetConverter } from "./offsets.ts";
import type { TokenizerPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";
import { type TextTokens, encodeLong } from "./text-tokens.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Of a token as JSON, in a long text: its id and its offsets. */
const bytesPerToken = 24;

export const tokenize: TokenizerPipeline<"tokenize"> = {
  kind: "tokenizer",
  async answer({ inputs, parameters }, { tokenizer }, context) {
    const { signal } = context;
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const counter = new TokenCounter();
    const slices = new TimeSlices(signal);
    const outputs: TaskOutput<"tokenize">[] = [];
    const size = new ResultSize(context, { param: "inputs", fix: "Send fewer texts." });
    const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
    // A token has one character or more.
    await size.expect(bytesPerToken * Math.min(characters, counter.remaining));
    for await (const tokens of encodeLong(texts, tokenizer, { counter, signal })) {
      slices.begin();
      context.charge(tokens.ids.length);
      const output = await answerOf(tokens, { tokenizer, parameters, slices });
      counter.count(output.count);
      outputs.push(output);
    }
    return { outputs, usage: counter.usage(), warnings: [] };
  },
};

type TokenizeOptions = {
  tokenizer: Tokenizer;
  parameters: TaskParameters<"tokenize">;
  slices: TimeSlices;
};

async function answerOf(
  { text, ids, offsets }: TextTokens,
  { tokenizer, parameters, slices }: TokenizeOptions,
): Promise<TaskOutput<"tokenize">> {
  const { add_special_tokens: special = true, offset_unit: unit } = parameters;
  const offsetOf = offsetConverter(text, unit);
  const converted = await slices.map(offsets, ([start, end]): [number, number] => [
    offsetOf(start),
    offsetOf(end),
  ]);
  if (!special) return { tokens: [...ids], count: ids.length, offsets: converted };
  const { ids: tokens, starts } = tokenizer.wrap(ids);
  const first = starts[0] ?? 0;
  return {
    tokens,
    count: tokens.length,
    offsets: await slices.map(tokens.keys(), (at) => converted[at - first] ?? [0, 0]),
  };
}
