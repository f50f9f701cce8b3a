/** An encoder in service: all that is needed to turn texts into rows, have them run and read what comes back. */
import type { ModelLimits } from "#contract/model-limits.ts";
import type { Task } from "#contract/tasks.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { EncoderSession } from "./encoder-session.ts";
import type { ModelHead } from "./model-head.ts";
import type { RunCost } from "./run-cost.ts";
import type { RunMemory } from "./run-memory.ts";
import type { SentenceVectors } from "./sentence-vectors.ts";

export type EncoderModel = {
  readonly kind: "encoder";
  readonly id: string;
  /** Of weights, identity files, compute form and graph builder, lower-case hex: part of the edge's cache key. */
  readonly digest: string;
  readonly tasks: readonly Task[];
  readonly limits: ModelLimits;
  readonly tokenizer: Tokenizer;
  readonly session: EncoderSession;
  /** Of low rank, that its rows are run with, as the session counts them. Absent: none. */
  readonly adapter?: number;
  /** Ids of the virtual tokens that its texts begin with. Absent: none. */
  readonly softPrompt?: readonly number[];
  /** What runs of a few sizes take here: the budgets of its batches follow from it. Absent: not measured. */
  readonly costs?: readonly RunCost[];
  /** Bytes that runs take by their shape. Absent: runs are not bounded by it. */
  readonly memory?: RunMemory;
  /** Tokens of the largest batch that a GPU's memory has room for. Absent: whatever the policy says. */
  readonly batchTokensMax?: number;
  readonly head: ModelHead;
  /** Null: the model makes no sentence vectors. */
  readonly sentence: SentenceVectors | null;
  /** Id of the model that finds the entities this one relates; null: it names none. */
  readonly entityModel: string | null;
  /** Whether rows are to have the shapes of their words. Absent: it reads none. */
  readonly wordShapes?: boolean;
};
