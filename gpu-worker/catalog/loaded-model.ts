/**
 * A served model as the catalog keeps it: what it takes of memory, how it is given back, and what adapters ask of a
 * base.
 */
import type { ComputeForm } from "../architectures/encoder-head.ts";
import type { DecoderForm } from "../architectures/decoder-form.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { Session } from "../runtime/session.ts";
import type { DecoderLoraSession } from "../graphs/decoder-lora-session.ts";
import type { LoraSession } from "../graphs/lora-session.ts";
import type { PromptedSession } from "../graphs/prompted-session.ts";
import type { LoraBase } from "./lora-base.ts";

type Kept = {
  /** sha256 of the upstream f32 weights file: what adapters name their base by. */
  readonly upstreamDigest: string;
  /** What it keeps in memory, about: its compiled graph, weights included, and a decoder's keys and values. */
  readonly bytes: number;
  /** Gives the memory back; of an adapter, its hold on the base. Runs asked for before are finished. */
  dispose(): Promise<void>;
};

export type LoadedEncoder = EncoderModel &
  Kept & {
    readonly form: ComputeForm;
    readonly session: Session;
    /** For adapters of low rank, with the files they were made for; null: it takes none. */
    readonly lora: { readonly base: LoraBase<LoraSession>; readonly checkpoint: Checkpoint } | null;
  };
export type LoadedDecoder = DecoderModel &
  Kept & {
    readonly form: DecoderForm;
    /** For adapters of low rank, whose texts' keys and values may take so many bytes; null: it is tuned itself. */
    readonly lora: {
      readonly base: LoraBase<DecoderLoraSession>;
      /** What its graph is computed in. */
      readonly form: DecoderForm;
      readonly keyValueBytes: number;
    } | null;
    /** For soft prompts; null: it is tuned itself. */
    readonly prompts: PromptedSession | null;
  };
export type LoadedModel = LoadedEncoder | LoadedDecoder;
