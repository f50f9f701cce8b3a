/** The empty task: answers its own inputs and needs no model. Measures the path around a model. */
import type { DirectPipeline } from "./pipeline.ts";

export const noop: DirectPipeline<"noop"> = {
  kind: "direct",
  answer: ({ inputs }) => inputs,
};
