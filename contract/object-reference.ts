/** A document too large for a queue message or a callback, kept in object storage (S3 API). */
import * as z from "zod";
import { Sha256 } from "./sha256.ts";

export const ObjectReference = z.object({
  key: z.string().min(1).max(1_024),
  bytes: z.int().nonnegative(),
  /** Verified by whoever reads the object. */
  sha256: Sha256,
});
export type ObjectReference = z.infer<typeof ObjectReference>;
