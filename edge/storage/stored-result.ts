/** Where a result is kept: as text beside its job, or in object storage where it is too large for a row. */
import type { ObjectReference } from "#contract/object-reference.ts";

/** A result document (contract/result-document.ts), or where it lies in object storage. */
export type StoredResult =
  | { kind: "inline"; document: string }
  | { kind: "reference"; reference: ObjectReference };
