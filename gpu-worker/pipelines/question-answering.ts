/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const questionAnswering: EncoderPipeline<"question-answering"> = {
  kind: "encoder",
  answer: () =>
    Promise.reject(new CodedError("internal_error", "question-answering is not served yet")),
};
