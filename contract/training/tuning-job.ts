/**
 * What edge and training workers say to each other of a tuning job. The queue's message names the job alone. A worker
 * claims it (POST /internal/training/claim), deletes the message, and reports (POST /internal/training/reports) at
 * least every `leaseNumbers.reportSeconds` under the lease that it was given. A lease that is not heard of lapses, and
 * the message is sent again. All posts are signed as every worker's are.
 */
import * as z from "zod";
import { PublicError } from "../errors.ts";
import { ObjectReference } from "../object-reference.ts";
import { TunedModel, TunedModelName, TunedModelSource } from "./tuned-model.ts";
import { TuningFile, TuningOptions } from "./tuning-options.ts";

export const leaseNumbers = {
  /** A worker reports at least this often, and at once what is new. */
  reportSeconds: 2,
  /** A lease that was not heard of for so long is another worker's to have. */
  lapseSeconds: 20,
  /** A job whose leases lapsed so often has failed. */
  attemptsMax: 3,
} as const;

/** Of one report. */
export const tellingBounds = {
  eventsMax: 200,
  checkpointsMax: 20,
  messageCharactersMax: 2_000,
} as const;

/** 128 random bits: nobody guesses one. */
export const TuningJobId = z.string().regex(/^ftjob-[0-9a-f]{32}$/);
export type TuningJobId = z.infer<typeof TuningJobId>;

/** Which job, and whose. */
const address = { id: TuningJobId, tenant: z.string().min(1).max(100) } as const;

export const TuningMessage = z.object({ version: z.literal(1), ...address });
export type TuningMessage = z.infer<typeof TuningMessage>;

export const TuningClaim = z.object({ ...address, worker: z.string().min(1).max(100) });
export type TuningClaim = z.infer<typeof TuningClaim>;

/** An adapter goes on beside its base; a checkpoint is trained in its place. */
export const TuningStart = z.object({ kind: TunedModel.shape.kind, source: TunedModelSource });
export type TuningStart = z.infer<typeof TuningStart>;

export const TuningOrder = z.object({
  ...address,
  /** Named in each report. */
  lease: z.string().min(1).max(100),
  /** 1: the first. */
  attempt: z.int().positive(),
  /** Id of the base. */
  model: z.string().min(1).max(200),
  /** A tuned model of that base which the training goes on from. Null: it begins with the base. */
  start: TuningStart.nullable().default(null),
  training: TuningFile,
  validation: TuningFile.nullable(),
  options: TuningOptions,
  /** Of the tuned model. */
  name: TunedModelName,
  /** Where the tuned model's files belong: `<prefix><path>`. */
  modelPrefix: z.string().max(300),
  /** Where the result files belong: `<prefix><filename>`. */
  resultPrefix: z.string().max(300),
});
export type TuningOrder = z.infer<typeof TuningOrder>;

/** Null: there is nothing to do, for it has ended, was paused or is another's. The message is deleted all the same. */
export const TuningClaimAnswer = z.object({ order: TuningOrder.nullable() });
export type TuningClaimAnswer = z.infer<typeof TuningClaimAnswer>;

const count = z.int().nonnegative();

export const TuningEvent = z.object({
  /** Of this lease, counted from 1: what was heard is not kept twice. */
  sequence: z.int().positive(),
  /** Milliseconds since the epoch. */
  at: z.int().positive(),
  level: z.enum(["info", "warn", "error"]),
  message: z.string().max(tellingBounds.messageCharactersMax),
  type: z.enum(["message", "metrics"]),
  /** By OpenAI's names where it has one: step, train_loss, valid_loss, total_steps… */
  data: z.record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null()])),
});
export type TuningEvent = z.infer<typeof TuningEvent>;

/** An evaluation that was the best so far, by OpenAI's names. */
export const TuningCheckpoint = z.object({
  step: count,
  /** Milliseconds since the epoch. */
  at: z.int().positive(),
  metrics: z.record(z.string(), z.number()),
});
export type TuningCheckpoint = z.infer<typeof TuningCheckpoint>;

export const TuningProgress = z.object({
  step: count,
  steps: count,
  trainedTokens: count,
  /** Of training, those of earlier leases that it goes on from included. */
  seconds: z.number().nonnegative(),
  /** Null: not known yet. */
  secondsLeft: z.number().nonnegative().nullable(),
});
export type TuningProgress = z.infer<typeof TuningProgress>;

export const TuningResultFile = z.object({
  filename: z.string().max(255),
  contentType: z.string().max(100),
  object: ObjectReference,
});
export type TuningResultFile = z.infer<typeof TuningResultFile>;

/** How it ended at this worker; the files of a model are whole in the bucket before it is named. */
export const TuningOutcome = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("succeeded"),
    model: TunedModel,
    resultFiles: z.array(TuningResultFile).max(10),
  }),
  z.object({ kind: z.literal("failed"), error: PublicError }),
  z.object({ kind: z.literal("cancelled") }),
  /** Its state is kept by this worker, which goes on from there where it gets it again. */
  z.object({ kind: z.literal("paused") }),
  /** It was handed back, as by a worker that shuts down: another lease, and no attempt is counted. */
  z.object({ kind: z.literal("released") }),
  /** Its worker has died, says the one that came after it on that machine: as if the lease had lapsed already. */
  z.object({ kind: z.literal("lost") }),
]);
export type TuningOutcome = z.infer<typeof TuningOutcome>;

export const TuningReport = z.object({
  ...address,
  worker: z.string().min(1).max(100),
  lease: z.string().min(1).max(100),
  events: z.array(TuningEvent).max(tellingBounds.eventsMax),
  checkpoints: z.array(TuningCheckpoint).max(tellingBounds.checkpointsMax),
  progress: TuningProgress.nullable(),
  outcome: TuningOutcome.nullable(),
});
export type TuningReport = z.infer<typeof TuningReport>;

export const TuningReportAnswer = z.object({
  /** `stop`: the lease is not this worker's any more; nothing is to be reported of it. */
  action: z.enum(["continue", "cancel", "pause", "stop"]),
});
export type TuningReportAnswer = z.infer<typeof TuningReportAnswer>;
