/** What callers write for a model. */
import * as z from "zod";

export const ModelName = z
  .string()
  .min(1)
  .max(200)
  .describe("Id or alias of a model, as GET /v1/models lists them.");

/** Of a body whose address names the model; Hugging Face's JavaScript client writes the whole address here. */
export const AddressedModelName = z
  .string()
  .max(4_000)
  .optional()
  .describe("The address says which model it is, whatever stands here.");
