/**
 * Brings a model up on a worker and says what it is. Asked for by the platform itself, so that a tuned model is in
 * memory before its job is said to have succeeded.
 */
import * as z from "zod";
import { ModelLimits } from "../model-limits.ts";
import { defineTask } from "../task.ts";

export const loadModel = defineTask({
  summary: "Load a model",
  internal: true,
  example: {
    model: "all-MiniLM-L6-v2",
    input: {},
    parameters: {},
    output: {
      tasks: ["text-classification"],
      limits: { maxTokens: 256, dimensions: null, vocabularySize: 30_522 },
      digest: "0".repeat(64),
    },
    tokens: 0,
  },
  input: z.strictObject({}),
  parameters: z.strictObject({}),
  output: z.object({
    /** Names of tasks: the table of them is not known here. */
    tasks: z.array(z.string()),
    limits: ModelLimits,
    /** As results of this worker carry it: files and compute form. */
    digest: z.string().min(1).max(200),
  }),
  reads: () => [],
  huggingFace: null,
});
