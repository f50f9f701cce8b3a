/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const tokenClassification: EncoderPipeline<"token-classification"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "token-classification is not served yet")),
};
