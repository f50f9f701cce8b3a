/**
 * Weights by name, whatever file they come from. Reading is synchronous and lazy: nothing is held but the table of
 * contents, so a checkpoint of any size passes through tensor by tensor.
 */
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GgmlBlocks, GgmlType } from "./ggml-blocks.ts";

export type WeightEntry = {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly byteLength: number;
  /** What `read` takes it from, in files of quantised blocks. */
  readonly stored?: GgmlType;
};

export type WeightSource = {
  /** Free text the file carries about itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  names(): readonly string[];
  entry(name: string): WeightEntry | null;
  /** The tensor as stored. Throws `WeightError` if there is none, or the file cannot be read. */
  read(name: string): Tensor;
  /** The tensor in its quantised blocks, for what computes with them, as `read`. Absent: such files have none. */
  blocks?(name: string): GgmlBlocks;
  /** Releases the file. Reading after that throws. */
  close(): void;
};

/** A weight file that is not valid, or lacks a tensor. The message says which file and what. */
export class WeightError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "WeightError";
  }
}
