/** A document too large for a queue message or a callback, kept in object storage (S3 API). */
import * as z from "zod";

export const ObjectReference = z.object({
  key: z.string().min(1).max(1_024),
  bytes: z.int().nonnegative(),
  /** Lower-case hex; verified by whoever reads the object. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type ObjectReference = z.infer<typeof ObjectReference>;
