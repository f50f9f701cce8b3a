/** One sentence vector per input, or its tokens' own, as base64 of little-endian f32. */
import { toUnitLength } from "../tensor/vectors.ts";
import { InputEncoder } from "./encode-input.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { namedPrompt } from "./prompts.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter, namedInputs, rowsOf, sentenceOf } from "./sentence-request.ts";
import { readTokenIds } from "./read-token-ids.ts";
import { tokenVectors } from "./token-vectors.ts";
import { toBase64 } from "../tensor/vectors.ts";

export const featureExtraction: EncoderPipeline<"feature-extraction"> = {
  kind: "encoder",
  async answer({ inputs: given, parameters }, model, context) {
    const ofTokens = parameters.pooling === "none";
    if (!ofTokens) sentenceOf(model);
    const { prompt_name: promptName } = parameters;
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: parameters.truncation_direction ?? "right",
      // The default prompt is for sentence vectors.
      prompt: ofTokens && promptName === undefined ? "" : namedPrompt(model, promptName),
    };
    const encoder = new InputEncoder(model, rules, context.signal);
    const { inputs, warnings } = await readTokenIds(given, model, {
      vocabulary: parameters.token_ids,
      signal: context.signal,
    });
    if (ofTokens) {
      const answer = await tokenVectors({ inputs, parameters }, model, { encoder, context });
      return { ...answer, warnings: [...warnings, ...answer.warnings] };
    }
    const output: OutputName = parameters.normalize === undefined ? "sentence_embedding" : "pooled";
    const counter = new TokenCounter();
    const rows = await rowsOf(namedInputs(inputs), encoder, { counter, outputs: [output] });
    const unit = parameters.normalize === true;
    const width = model.limits.dimensions ?? 0;
    const size = new ResultSize(context, { param: "inputs", fix: "Send fewer inputs." });
    await size.expect(rows.length * base64Bytes(width));
    return {
      outputs: await readRows(rows, model, context, {
        floatsOf: () => width,
        read({ [output]: vector = new Float32Array() }) {
          return toBase64(unit ? toUnitLength(vector) : vector);
        },
      }),
      usage: counter.usage(),
      warnings: [...warnings, ...counter.warnings(model.limits.maxTokens)],
    };
  },
};

/** Of so many f32, in base64 and quotes. */
function base64Bytes(width: number): number {
  return 4 * Math.ceil((4 * width) / 3) + 3;
}
