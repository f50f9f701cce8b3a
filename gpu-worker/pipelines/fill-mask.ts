/** Not served yet. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderPipeline } from "./pipeline.ts";

export const fillMask: EncoderPipeline<"fill-mask"> = {
  kind: "encoder",
  answer: () => Promise.reject(new CodedError("internal_error", "fill-mask is not served yet")),
};
