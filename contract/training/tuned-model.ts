/**
 * A tuned model as it travels: what it was made of, and the files that a worker fetches at its first use. Its folder is
 * one that `LLM_OS_MODELS` could hold: a checkpoint, or an adapter beside its base.
 */
import * as z from "zod";
import { ModelLimits } from "../model-limits.ts";
import { ObjectReference } from "../object-reference.ts";
import { Sha256 } from "../sha256.ts";
import { Task } from "../tasks.ts";

export const tunedModelBounds = {
  filesMax: 40,
  pathCharactersMax: 200,
  suffixCharactersMax: 64,
  /** All its files together. */
  bytesMax: 4 * 1024 ** 3,
} as const;

const { filesMax, pathCharactersMax } = tunedModelBounds;

/** `ft:<base>:<suffix>:<id>`, as OpenAI names them; the suffix may be empty. */
export const TunedModelName = z
  .string()
  .max(200)
  .regex(/^ft:[^:]+:[a-z0-9_-]{0,64}:[0-9a-f]{32}$/i);
export type TunedModelName = z.infer<typeof TunedModelName>;

export function isTunedModelName(name: string): boolean {
  return name.startsWith("ft:");
}

export const TunedModelFile = z.object({
  /** Below the model's folder, with `/`: no part of it is empty, `.` or `..`. */
  path: z
    .string()
    .max(pathCharactersMax)
    .regex(/^(?!\.{1,2}(?:\/|$))[\w.-]+(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*$/),
  object: ObjectReference,
});
export type TunedModelFile = z.infer<typeof TunedModelFile>;

/** What a message carries, so that a worker which never saw the model can fetch it. */
export const TunedModelSource = z.object({
  name: TunedModelName,
  /** Of all files: sha256 over the lines `<sha256 of the file>  <path>\n`, by path. */
  digest: Sha256,
  files: z.array(TunedModelFile).min(1).max(filesMax),
});
export type TunedModelSource = z.infer<typeof TunedModelSource>;

/** And what the edge keeps of it, to list it and to judge requests for it. */
export const TunedModel = TunedModelSource.extend({
  /** Id of the model that it was tuned from. */
  base: z.string().min(1).max(200),
  /** An adapter shares its base's memory and batches; a checkpoint is a model of its own. */
  kind: z.enum(["adapter", "checkpoint"]),
  tasks: z.array(Task).min(1),
  limits: ModelLimits,
  bytes: z.int().nonnegative(),
  licence: z.string().max(100).nullable(),
  /** Milliseconds since the epoch. */
  createdAt: z.int().positive(),
});
export type TunedModel = z.infer<typeof TunedModel>;
