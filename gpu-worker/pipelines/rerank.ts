/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const rerank: EncoderPipeline<"rerank"> = {
  kind: "encoder",
  answer: () => Promise.reject(new CodedError("internal_error", "rerank is not served yet")),
};
