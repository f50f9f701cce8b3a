/** One sentence vector per input, as base64 of little-endian f32. */
import { CodedError } from "#contract/errors.ts";
import type { TaskParameters } from "#contract/tasks.ts";
import { InputEncoder } from "./encode-input.ts";
import type { EncoderModel, OutputName } from "./encoder-model.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { RequestTally, namedInputs, rowsOf, sentenceOf } from "./sentence-request.ts";
import { toUnitLength } from "./vectors.ts";

type Parameters = TaskParameters<"feature-extraction">;

export const featureExtraction: EncoderPipeline<"feature-extraction"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: parameters.truncation_direction ?? "right",
      prompt: promptOf(parameters, model),
    };
    const encoder = new InputEncoder(model, rules, engine.signal);
    const output: OutputName = parameters.normalize === undefined ? "sentence_embedding" : "pooled";
    const tally = new RequestTally();
    const rows = await rowsOf(namedInputs(inputs), encoder, { tally, outputs: [output] });
    const unit = parameters.normalize === true;
    const width = model.limits.dimensions ?? 0;
    const size = new ResultSize(engine, { param: "inputs", fix: "Send fewer inputs." });
    await size.expect(rows.length * base64Bytes(width));
    return {
      outputs: await readRows(rows, model, engine, {
        floatsOf: () => width,
        read({ [output]: vector = new Float32Array() }) {
          return toBase64(unit ? toUnitLength(vector) : vector);
        },
      }),
      usage: tally.usage(),
      warnings: tally.warnings(model.limits.maxTokens),
    };
  },
};

function promptOf(parameters: Parameters, model: EncoderModel): string {
  const { prompts } = sentenceOf(model);
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

/** Of so many f32, in base64 and quotes. */
function base64Bytes(width: number): number {
  return 4 * Math.ceil((4 * width) / 3) + 3;
}

/** Every platform this runs on is little-endian. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
