/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const relationExtraction: EncoderPipeline<"relation-extraction"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "relation-extraction is not served yet")),
};
