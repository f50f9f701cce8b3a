/**
 * What Hugging Face's older clients ask of its fleet. Here a call waits for its model and may be cached in any case.
 */
import * as z from "zod";

export const Options = z
  .strictObject({
    use_cache: z.boolean().optional().describe("Accepted, and not acted on."),
    wait_for_model: z.boolean().optional().describe("Accepted, and not acted on."),
    use_gpu: z.boolean().optional().describe("Accepted, and not acted on."),
  })
  .describe("What Hugging Face's older clients ask of its fleet. Accepted, and not acted on.");
