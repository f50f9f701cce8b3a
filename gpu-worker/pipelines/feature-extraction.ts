/** One sentence vector per input, as base64 of little-endian f32. */
import { InputEncoder } from "./encode-input.ts";
import type { OutputName } from "./encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { namedPrompt } from "./prompts.ts";
import { RequestTally, namedInputs, rowsOf } from "./sentence-request.ts";
import { toUnitLength } from "./vectors.ts";

export const featureExtraction: EncoderPipeline<"feature-extraction"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, { run, signal }) {
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: parameters.truncation_direction ?? "right",
      prompt: namedPrompt(model, parameters.prompt_name),
    };
    const encoder = new InputEncoder(model, rules, signal);
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

/** Every platform this runs on is little-endian. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
