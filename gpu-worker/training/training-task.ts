/**
 * What the loop needs to know of a task: what a batch is fed besides its texts, and what is made of its logits. A task
 * is trained by whoever can make `TuningData` of its examples.
 */
import type { TrainingTask } from "#contract/training/forms.ts";
import type { TunedHead } from "../architectures/tuned-encoder.ts";
import type { EncoderTask } from "../architectures/training-encoder.ts";
import type { Sentence } from "../checkpoints/sentence-stages.ts";
import type { HeldOut } from "../evaluation/held-out.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { Problem } from "../model/model-head.ts";
import type { InputModel } from "../pipelines/encode-input.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TokenRow } from "./encode-texts.ts";
import type { ServedRows } from "./served-rows.ts";

export type BatchData = {
  /** The task's inputs for the rows of these indices, padded to `longest` tokens where they have any each. */
  feeds(indices: readonly number[], longest: number, draw: number): Record<string, Tensor>;
  /**
   * The rows that the graph reads of these, where they are more than those of these indices, or changed. `draw`, an
   * unsigned integer of 32 bits, differs from batch to batch; of all that is held out it is 0.
   */
  rowsOf?(indices: readonly number[], draw: number): readonly TokenRow[];
};

export type TaskData = BatchData & { readonly task: EncoderTask };

/** What an evaluation says of one batch: of each of its rows, and its part of the mean loss over all batches. */
export type BatchResults = { readonly rows: readonly Float32Array[]; readonly loss: number };

export type JudgedData = BatchData & {
  /** Of the evaluation graph, those to judge by. Default: `logits`. */
  readonly outputs?: readonly string[];
  /** Default: the rows of `outputs`, and `loss` as the mean over the batch's rows. */
  read?(results: Readonly<Record<string, Tensor>>, indices: readonly number[]): BatchResults;
  /** @param logits of each row, in their order: [classes], or [tokens, classes]; several outputs one after the other */
  judge(logits: readonly Float32Array[]): HeldOut | Promise<HeldOut>;
};

/** Rows that are judged together, of so many examples. */
export type JudgedPart = {
  readonly rows: readonly TokenRow[];
  readonly data: JudgedData;
  readonly examples: number;
  /** Of these examples alone, by their indices. */
  take(examples: readonly number[]): JudgedPart;
  /** The same, compared with what the base says, of each row, before anything is trained. Absent: it says nothing. */
  against?(base: readonly Float32Array[]): JudgedPart;
};

export type HeldOutPart = Omit<JudgedPart, "data" | "take" | "against"> & {
  readonly data: TaskData & JudgedData;
  take(examples: readonly number[]): HeldOutPart;
  against?(base: readonly Float32Array[]): HeldOutPart;
  /** As a model that serves is asked for them; null: it does not answer such rows. */
  served(model: Pick<EncoderModel, "head" | "sentence" | "softPrompt">): ServedRows | null;
  /** What the base is asked without training, where its labels alone say what is wanted. Absent: nothing. */
  readonly zeroShot?: { readonly inputs: readonly string[]; readonly labels: readonly string[] };
};

/** Rows that a base reads, and what is said of them. */
export type EncodedData = {
  readonly training: { readonly rows: readonly TokenRow[]; readonly data: TaskData };
  readonly heldOut: HeldOutPart;
  /** Of the tuned model's folder beside the checkpoint's own, by their paths in it. */
  readonly files?: Readonly<Record<string, string>>;
};

/** What reads the examples. */
export type TrainedModel = Omit<InputModel, "sentence"> & {
  /** Null: it makes no vectors of texts. */
  readonly sentence: Sentence | null;
  /** Numbers of a token's vector. */
  readonly hidden: number;
};

/** Examples of a task, whatever base they are to train. */
export type TuningData = {
  readonly task: TrainingTask;
  readonly head: TunedHead;
  /** Of classes; none where the head has none. */
  readonly labels: readonly string[];
  /** Of the head's last layer. */
  readonly outputs: number;
  readonly problem: Problem;
  /** Examples that are trained with. */
  readonly examples: number;
  /** @throws CodedError for a text that the base cannot read; the signal's reason */
  encode(model: TrainedModel, signal: AbortSignal): Promise<EncodedData>;
};
