/** What a session's thread is told and what it answers: one answer to each request, in order. */
import type { Tensor } from "../../tensor/tensor.ts";
import type { LoadOptions, ModelSource, ValueInfo } from "../session.ts";
import type { BusyFlag } from "./busy-flag.ts";

/** Handed over when the thread starts; its first answer is `loaded` or `failed`. */
export type ThreadStart = {
  model: ModelSource;
  options: Omit<LoadOptions, "signal" | "threads"> & { threads: number };
  busy: BusyFlag;
};

export type ThreadRequest =
  | { kind: "run"; feeds: Record<string, Tensor>; wanted: string[] }
  /** The last request: the thread frees the session and ends. */
  | { kind: "release" };

export type ThreadAnswer =
  | { kind: "loaded"; inputs: ValueInfo[]; outputs: ValueInfo[] }
  | { kind: "ran"; outputs: Record<string, Tensor> }
  | { kind: "failed"; message: string };
