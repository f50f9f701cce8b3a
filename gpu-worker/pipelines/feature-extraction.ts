/** One sentence vector per input, as base64 of little-endian f32. */
import { CodedError } from "#contract/errors.ts";
import type { TaskParameters } from "#contract/tasks.ts";
import { InputEncoder } from "./encode-input.ts";
import type { SentencePipeline } from "./pipeline.ts";
import type { SentenceRow } from "./run-sentences.ts";
import type { SentenceEncoder } from "./sentence-encoder.ts";
import { RequestTally, sentenceOf } from "./sentence-request.ts";

type Parameters = TaskParameters<"feature-extraction">;

export const featureExtraction: SentencePipeline<"feature-extraction"> = {
  kind: "sentence",
  async encode({ inputs, parameters }, model, signal) {
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: parameters.truncation_direction ?? "right",
      prompt: promptOf(parameters, model),
    };
    const encoder = new InputEncoder(model, rules, signal);
    const scale = scaleOf(parameters);
    const tally = new RequestTally();
    const rows: SentenceRow[] = [];
    for (const [index, input] of inputs.entries()) {
      const encoded = await encoder.encode(input, `inputs[${index}]`);
      tally.add(encoded);
      rows.push({ ids: encoded.ids, scale });
    }
    return {
      rows,
      promptTokens: tally.tokens,
      warnings: tally.warnings(model.limits.maxTokens),
      decode: (vectors) => vectors.map(toBase64),
    };
  },
};

function scaleOf(parameters: Parameters): SentenceRow["scale"] {
  if (parameters.normalize === undefined) return "configured";
  return parameters.normalize ? "unit" : "none";
}

function promptOf(parameters: Parameters, model: SentenceEncoder): string {
  const { prompts = {} } = sentenceOf(model);
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

/** Every platform this runs on is little-endian. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
