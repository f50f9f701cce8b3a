/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const detokenize: EncoderPipeline<"detokenize"> = {
  kind: "encoder",
  answer: () => Promise.reject(new CodedError("internal_error", "detokenize is not served yet")),
};
