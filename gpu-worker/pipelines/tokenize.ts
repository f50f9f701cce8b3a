/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const tokenize: EncoderPipeline<"tokenize"> = {
  kind: "encoder",
  answer: () => Promise.reject(new CodedError("internal_error", "tokenize is not served yet")),
};
