/** Constants beside a model's protobuf, in a file of their own. */
import type { Initializer } from "./graph.ts";

/** Bytes `offset` … `offset + length` of the file `location`, which lies beside the model. */
export type ExternalData = {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
};

/** Where a constant's bytes lie; null for inline. */
export type ExternalDataOf = (initializer: Initializer) => ExternalData | null;
