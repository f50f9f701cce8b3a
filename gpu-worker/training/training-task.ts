/** What the loop needs to know of a task: what a batch is fed besides its texts, and what is made of its logits. */
import type { EncoderTask } from "../architectures/training-encoder.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import type { Tensor } from "../tensor/tensor.ts";

export type TaskData = {
  readonly task: EncoderTask;
  /** The task's inputs for the examples of these indices, padded to `longest` tokens where they have any each. */
  feeds(indices: readonly number[], longest: number): Record<string, Tensor>;
};

export type HeldOutData = TaskData & {
  /** @param logits of each example, in their order: [classes], or [tokens, classes] */
  judge(logits: readonly Float32Array[]): HeldOut;
};
