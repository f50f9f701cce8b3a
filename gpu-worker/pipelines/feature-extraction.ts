/** One sentence vector per input, or its tokens' own, as base64 of little-endian f32. */
import { CodedError } from "#contract/errors.ts";
import type { TaskParameters } from "#contract/tasks.ts";
import { InputEncoder } from "./encode-input.ts";
import type { EncoderModel, OutputName } from "./encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { RequestTally, namedInputs, rowsOf, sentenceOf } from "./sentence-request.ts";
import { tokenVectors } from "./token-vectors.ts";
import { toBase64, toUnitLength } from "./vectors.ts";

type Parameters = TaskParameters<"feature-extraction">;

export const featureExtraction: EncoderPipeline<"feature-extraction"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    const { run, signal } = engine;
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: parameters.truncation_direction ?? "right",
      prompt: promptOf(parameters, model),
    };
    const encoder = new InputEncoder(model, rules, signal);
    if (parameters.pooling === "none")
      return tokenVectors({ inputs, parameters }, model, { encoder, engine });
    const output: OutputName = parameters.normalize === undefined ? "sentence_embedding" : "pooled";
    const tally = new RequestTally();
    const rows = await rowsOf(namedInputs(inputs), encoder, { tally, outputs: [output] });
    const results = await run(model, rows);
    const unit = parameters.normalize === true;
    const vectors = results.map((result) => result[output] ?? new Float32Array());
    return {
      outputs: vectors.map((vector) => toBase64(unit ? toUnitLength(vector) : vector)),
      usage: tally.usage(),
      warnings: tally.warnings(model.limits.maxTokens),
    };
  },
};

function promptOf(parameters: Parameters, model: EncoderModel): string {
  const { prompts } =
    parameters.pooling === "none" ? { prompts: {}, ...model.sentence } : sentenceOf(model);
  const name = parameters.prompt_name;
  if (name === undefined) return "";
  const prompt = Object.entries(prompts).find(([key]) => key === name)?.[1];
  if (prompt !== undefined) return prompt;
  const known = Object.keys(prompts);
  throw new CodedError(
    "invalid_value",
    `${model.id} has no prompt ${JSON.stringify(name)}; ` +
      (known.length === 0 ? "it has none at all" : `it has ${known.join(", ")}`),
    { param: "prompt_name" },
  );
}
