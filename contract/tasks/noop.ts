/** The empty task: travels the whole path and answers its own inputs. Served to the operator key only. */
import * as z from "zod";
import { limits } from "../limits.ts";
import { defineTask } from "../task.ts";

export const noop = defineTask({
  summary: "Answer the inputs as they are",
  example: {
    model: "noop",
    input: "hello",
    parameters: {},
    output: "hello",
    tokens: 0,
  },
  input: z.string().max(limits.stringCharactersMax),
  parameters: z.strictObject({}),
  /** The input, unchanged. */
  output: z.string(),
  reads: () => [],
  huggingFace: null,
});
