/** A decoder in service: all that is needed to turn a prompt into token ids, go on with it, and tell when to end. */
import type { ModelLimits } from "#contract/model-limits.ts";
import type { Task } from "#contract/tasks.ts";
import type { LoadedSession } from "../runtime/session.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** What a conversation is rendered by: the checkpoint's own template and the tokens it names. */
export type ChatTemplate = {
  /** Jinja. */
  readonly template: string;
  /** Empty: the model has none. */
  readonly bosToken: string;
  readonly eosToken: string;
};

/** Keys and values of one layer, f32 [batch, heads, tokens, width]: see architectures/causal-transformer.ts. */
export type KeyValueShape = {
  readonly layers: number;
  readonly heads: number;
  /** As the graph has it, padded where it must. */
  readonly width: number;
};

/** A session of the same weights for steps of tokens alone, which are captured: see llm/captured-steps.ts. */
export type CapturingSession = {
  readonly session: LoadedSession;
  /** Told once, where steps are not captured any more, of the reason. */
  readonly onLost: (reason: string) => void;
};

export type DecoderModel = {
  readonly kind: "decoder";
  readonly id: string;
  /** Of weights, identity files, compute form and graph builder, lower-case hex: part of the edge's cache key. */
  readonly digest: string;
  readonly tasks: readonly Task[];
  /** `maxTokens`: prompt and answer together. */
  readonly limits: ModelLimits;
  readonly tokenizer: Tokenizer;
  /** Inputs and outputs as architectures/causal-transformer.ts says. */
  readonly session: LoadedSession;
  /** See model/logit-blocks.ts. Absent: its logits are read whole. */
  readonly logitBlocks?: LoadedSession;
  /** On a GPU, of texts without adapters. Absent: all steps are plain runs. */
  readonly steps?: CapturingSession;
  /** Of new tokens in a run at least, one nobody's where needed: compute-form/fewest-rows.ts. */
  readonly rowsMin: number;
  /** Of low rank, that its texts are written with, as the session counts them. Absent: none. */
  readonly adapter?: number;
  /** Virtual tokens that its texts begin with, as the session counts them. Absent: none. */
  readonly softPrompt?: readonly number[];
  /** Id of the model that it is tuned from, whose other tunes share the session. Absent: of none. */
  readonly base?: string;
  readonly keyValues: KeyValueShape;
  /** Heads of queries. */
  readonly queryHeads: number;
  /** Bytes that keys and values may take, of all texts together: room for a text of `maxTokens` or more. */
  readonly keyValueBytes: number;
  /** Tokens after which a text ends. */
  readonly endTokens: ReadonlySet<number>;
  /** Null: it takes no conversation. */
  readonly chatTemplate: ChatTemplate | null;
};
