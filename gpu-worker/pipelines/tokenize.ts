/** The tokens of texts, however long, and where each stands. Runs no model. */
import type { TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { placesIn } from "./offsets.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { ResultSize } from "./result-size.ts";
import { RequestTally } from "./sentence-request.ts";
import { type TextTokens, encodeLong } from "./text-tokens.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Of a token of a text of many: its id and its place. */
const bytesPerToken = 24;

export const tokenize: EncoderPipeline<"tokenize"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, { tokenizer }, engine) {
    const { signal } = engine;
    const texts = inputs.map((text, index) => ({ text, name: `inputs[${index}]` }));
    const tally = new RequestTally();
    const slices = new TimeSlices(signal);
    const outputs: TaskOutput<"tokenize">[] = [];
    const size = new ResultSize(engine, { param: "inputs", fix: "Send fewer texts." });
    const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
    // A token has one character or more.
    await size.expect(bytesPerToken * Math.min(characters, tally.room));
    for await (const tokens of encodeLong(texts, tokenizer, { tally, signal })) {
      slices.begin();
      engine.charge(tokens.ids.length);
      const output = await answerOf(tokens, { tokenizer, parameters, slices });
      tally.count(output.count);
      outputs.push(output);
    }
    return { outputs, usage: tally.usage(), warnings: [] };
  },
};

type Splitting = {
  tokenizer: Tokenizer;
  parameters: TaskParameters<"tokenize">;
  slices: TimeSlices;
};

async function answerOf(
  { text, ids, offsets }: TextTokens,
  { tokenizer, parameters, slices }: Splitting,
): Promise<TaskOutput<"tokenize">> {
  const { add_special_tokens: special = true, offset_unit: unit } = parameters;
  const placeOf = placesIn(text, unit);
  const places = await slices.map(offsets, ([start, end]): [number, number] => [
    placeOf(start),
    placeOf(end),
  ]);
  if (!special) return { tokens: [...ids], count: ids.length, offsets: places };
  const { ids: tokens, starts } = tokenizer.wrap(ids);
  const first = starts[0] ?? 0;
  return {
    tokens,
    count: tokens.length,
    offsets: await slices.map(tokens.keys(), (at) => places[at - first] ?? [0, 0]),
  };
}
