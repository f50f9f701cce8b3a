/**
 * A served model as the catalog keeps it: what it takes of memory, how it is given back, and what adapters ask of a
 * base.
 */
import type { ComputeForm } from "../architectures/encoder-head.ts";
import type { ServedModel } from "../model/served-model.ts";
import type { Session } from "../runtime/session.ts";

export type LoadedModel = ServedModel & {
  readonly form: ComputeForm;
  readonly session: Session;
  /** sha256 of the upstream f32 weights file: what adapters name their base by. */
  readonly upstreamDigest: string;
  /** What it keeps in memory, about: its compiled graph, weights included. */
  readonly bytes: number;
  /** Gives the memory back; of an adapter, its hold on the base. Runs asked for before are finished. */
  dispose(): Promise<void>;
};
