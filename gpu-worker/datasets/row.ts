/** What a container holds of one example, whatever the container. */
import type { Fields } from "#contract/training/json-line.ts";
import type { Fault } from "#contract/training/problems.ts";
import type { BadLine, TextLine } from "./lines.ts";

/** `token`: at which of an example's tokens; where each has a line, the line is told from it. */
export type TokenFault = Fault & { readonly token?: number };

export type Row = {
  /** The first of its lines, counted from 1. */
  readonly line: number;
  /** Whether each token has a line of its own. */
  readonly tokenLines?: true;
} & ({ readonly fields: Fields } | { readonly faults: readonly TokenFault[] });

/** Makes rows of lines. An example may end with a later line than its last. */
export type RowReader = {
  push(line: TextLine | BadLine): Iterable<Row>;
  end(): Iterable<Row>;
};
