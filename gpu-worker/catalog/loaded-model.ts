/** A model ready to run: what `acquire` of the catalog gives, and all that a pipeline needs of it. */
import type { ModelLimits } from "#contract/models.ts";
import type { Task } from "#contract/tasks.ts";
import type { ComputeForm, Pooling } from "../architectures/encoder-head.ts";
import type { Session } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export type LoadedModel = {
  id: string;
  /** Of weights, identity files, compute form and graph builder, lower-case hex: part of the edge's cache key. */
  digest: string;
  form: ComputeForm;
  tasks: Task[];
  limits: ModelLimits;
  /**
   * Inputs input_ids, attention_mask, token_type_ids int64 `[batch, sequence]`; outputs sentence_embedding and pooled
   * f32 `[batch, hidden]`.
   */
  session: Session;
  tokenizer: Tokenizer;
  /** Null: the model makes no sentence vectors. */
  sentence: { pooling: Pooling; normalize: boolean; prompts: Record<string, string> } | null;
};
