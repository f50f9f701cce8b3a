/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const fewShotClassification: EncoderPipeline<"few-shot-classification"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "few-shot-classification is not served yet")),
};
