/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const zeroShotClassification: EncoderPipeline<"zero-shot-classification"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "zero-shot-classification is not served yet")),
};
