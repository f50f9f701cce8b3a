/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const textClassification: EncoderPipeline<"text-classification"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "text-classification is not served yet")),
};
