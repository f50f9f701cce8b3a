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

/** An object that cannot be had, however often it is asked for. */
export class ObjectLost extends Error {
  /** What became of it: "its file …" goes before. */
  readonly words: string;

  constructor(key: string, fate: "gone" | "altered") {
    super(
      fate === "gone"
        ? `the object ${key} is gone`
        : `the object ${key} is not the one that was written`,
    );
    this.name = "ObjectLost";
    this.words = fate === "gone" ? "is gone" : "is not the one that was stored";
  }
}
