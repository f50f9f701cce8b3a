/** What callers write for a model. */
import * as z from "zod";

export const ModelName = z
  .string()
  .min(1)
  .max(200)
  .describe("Id or alias of a model, as GET /v1/models lists them.");
