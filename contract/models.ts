/**
 * Models as the two sides speak of them: the manifest of a known model, and the state a worker announces
 * (POST /internal/workers, every `limits.workerAnnounceSeconds` and on each change).
 */
import * as z from "zod";
import { Task } from "./tasks.ts";

export const ModelLimits = z.object({
  /** Longest input in tokens, special tokens included. */
  maxTokens: z.int().positive(),
  /** Length of a sentence vector; null for a model that makes none. */
  dimensions: z.int().positive().nullable(),
  /** Token ids are 0 … vocabularySize − 1. */
  vocabularySize: z.int().positive(),
});
export type ModelLimits = z.infer<typeof ModelLimits>;

export const ModelStatus = z.enum(["available", "downloading", "failed"]);
export type ModelStatus = z.infer<typeof ModelStatus>;

export const ModelState = z.object({
  id: z.string().min(1).max(200),
  /** Other names callers may use, the hub id among them. */
  aliases: z.array(z.string().min(1).max(200)),
  /** The first is the default of `POST /hf/models/{id}`. None for a folder that failed before its tasks could be told. */
  tasks: z.array(Task),
  status: ModelStatus,
  /** 0…1 while downloading or compiling. */
  progress: z.number().min(0).max(1).nullable(),
  /** Why it failed, and what to do. */
  reason: z.string().max(2_000).nullable(),
  loaded: z.boolean(),
  /** Null until the bytes are here. */
  digest: z.string().max(200).nullable(),
  sizeBytes: z.int().nonnegative().nullable(),
  limits: ModelLimits.nullable(),
  licence: z.string().max(100).nullable(),
});
export type ModelState = z.infer<typeof ModelState>;

export const WorkerAnnouncement = z.object({
  worker: z.string().min(1).max(100),
  models: z.array(ModelState).max(1_000),
});
export type WorkerAnnouncement = z.infer<typeof WorkerAnnouncement>;
