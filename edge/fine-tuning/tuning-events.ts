/**
 * What happened to tuning jobs, in SQLite: events, numbered from 1 in each job, and checkpoints. Both are bounded: of
 * events the oldest metrics go first, then the oldest of all, and an event says so.
 */
import * as z from "zod";
import {
  type TuningCheckpoint,
  type TuningEvent,
  TuningJobId,
} from "#contract/training/tuning-job.ts";
import { digitsOf } from "./tuning-job.ts";
import { tuningLimits } from "./tuning-limits.ts";

export const TuningEventObject = z.object({
  object: z.literal("fine_tuning.job.event").describe("What this is."),
  id: z.string().describe("What it is asked for by."),
  created_at: z.int().describe("Unix time in seconds."),
  level: z.enum(["info", "warn", "error"]).describe("How much it matters."),
  message: z.string().describe("What happened."),
  type: z.enum(["message", "metrics"]).describe("metrics: data holds figures of a step."),
  data: z
    .record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null()]))
    .describe("By OpenAI's names where it has one: step, train_loss, valid_loss, total_steps."),
});
export type TuningEventObject = z.infer<typeof TuningEventObject>;

export const TuningCheckpointObject = z.object({
  object: z.literal("fine_tuning.job.checkpoint").describe("What this is."),
  id: z.string().describe("Of the checkpoint."),
  created_at: z.int().describe("Unix time in seconds."),
  fine_tuned_model_checkpoint: z
    .string()
    .describe("Its name. The best of them is the tuned model; the others cannot be called."),
  fine_tuning_job_id: TuningJobId.describe("Of the job."),
  step_number: z.int().describe("After so many steps."),
  metrics: z.record(z.string(), z.number()).describe("Figures of that step, by OpenAI's names."),
});
export type TuningCheckpointObject = z.infer<typeof TuningCheckpointObject>;

const tables = `
  CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS counts (
    job TEXT PRIMARY KEY, last INTEGER NOT NULL, kept INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS checkpoints (
    job TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, metrics TEXT NOT NULL, PRIMARY KEY (job, step)
  ) STRICT, WITHOUT ROWID;
`;

type EventRow = {
  job: TuningJobId;
  number: number;
  at: number;
  level: TuningEvent["level"];
  message: string;
  type: TuningEvent["type"];
  data: string;
};

export type NumberedEvent = { number: number; event: TuningEventObject };
export type NewEvent = Omit<TuningEvent, "sequence">;

/** Ids of both name their job. */
type Kind = "ftevent" | "ftckpt";
const idPattern = /^(ftevent|ftckpt)-([0-9a-f]{32})-(\d{1,12})$/;

function idOf(kind: Kind, job: TuningJobId, number: number): string {
  return `${kind}-${digitsOf(job)}-${number}`;
}

/** @returns the number of an event of the job; null: it is none such */
export function numberOfEvent(job: TuningJobId, id: string): number | null {
  return numberIn("ftevent", job, id);
}

/** @returns the step of a checkpoint of the job; null: it is none such */
export function stepOfCheckpoint(job: TuningJobId, id: string): number | null {
  return numberIn("ftckpt", job, id);
}

function numberIn(wanted: Kind, job: TuningJobId, id: string): number | null {
  const [, kind, digits, number] = idPattern.exec(id) ?? [];
  return kind === wanted && digits === digitsOf(job) ? Number(number) : null;
}

export class TuningEvents {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(tables);
  }

  append(job: TuningJobId, events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    const counted = this.#count(job);
    for (const event of events) this.#insert(job, ++counted.last, event);
    counted.kept += events.length;
    if (counted.kept > tuningLimits.eventsMax) this.#thin(job, counted);
    this.#sql.exec(
      "INSERT OR REPLACE INTO counts (job, last, kept) VALUES (?, ?, ?)",
      job,
      counted.last,
      counted.kept,
    );
  }

  /** The newest first, from the one before `before`. One more than asked for, where there are more. */
  page(job: TuningJobId, limit: number, before: number | null): TuningEventObject[] {
    const rows = this.#sql.exec<EventRow>(
      `SELECT * FROM events WHERE job = ?1 AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3`,
      job,
      before,
      limit + 1,
    );
    return rows.toArray().map((row) => showEvent(row));
  }

  /** Those after one, the oldest first. */
  following(job: TuningJobId, after: number, limit: number): NumberedEvent[] {
    const rows = this.#sql.exec<EventRow>(
      "SELECT * FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
      job,
      after,
      limit,
    );
    return rows.toArray().map((row) => ({ number: row.number, event: showEvent(row) }));
  }

  /** A step that was reported before is replaced: another lease may go through it again. */
  keepCheckpoints(job: TuningJobId, checkpoints: readonly TuningCheckpoint[]): void {
    if (checkpoints.length === 0) return;
    for (const { step, at, metrics } of checkpoints) {
      this.#sql.exec(
        "INSERT OR REPLACE INTO checkpoints (job, step, at, metrics) VALUES (?, ?, ?, ?)",
        job,
        step,
        at,
        JSON.stringify(metrics),
      );
    }
    this.#sql.exec(
      `DELETE FROM checkpoints WHERE job = ?1 AND step IN (
         SELECT step FROM checkpoints WHERE job = ?1 ORDER BY step DESC LIMIT -1 OFFSET ?2
       )`,
      job,
      tuningLimits.checkpointsMax,
    );
  }

  /** The last step first. One more than asked for, where there are more. @param before a step; null: from the last */
  checkpoints(
    job: { id: TuningJobId; name: string },
    limit: number,
    before: number | null,
  ): TuningCheckpointObject[] {
    const rows = this.#sql.exec<{ step: number; at: number; metrics: string }>(
      `SELECT step, at, metrics FROM checkpoints WHERE job = ?1 AND (?2 IS NULL OR step < ?2)
       ORDER BY step DESC LIMIT ?3`,
      job.id,
      before,
      limit + 1,
    );
    return rows
      .toArray()
      .map(({ step, at, metrics }) =>
        showCheckpoint(job, { step, at, metrics: JSON.parse(metrics) }),
      );
  }

  forget(job: TuningJobId): void {
    for (const table of ["events", "counts", "checkpoints"]) {
      this.#sql.exec(`DELETE FROM ${table} WHERE job = ?`, job);
    }
  }

  #count(job: TuningJobId): { last: number; kept: number } {
    const rows = this.#sql.exec<{ last: number; kept: number }>(
      "SELECT last, kept FROM counts WHERE job = ?",
      job,
    );
    return rows.toArray()[0] ?? { last: 0, kept: 0 };
  }

  #insert(job: TuningJobId, number: number, { at, level, message, type, data }: NewEvent): void {
    const json = JSON.stringify(data);
    const kept = json.length <= tuningLimits.eventDataCharactersMax ? json : tooMuch;
    this.#sql.exec(
      "INSERT INTO events (job, number, at, level, message, type, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
      job,
      number,
      at,
      level,
      message,
      type,
      kept,
    );
  }

  /** Some more than need be, so that it is not done at each report. */
  #thin(job: TuningJobId, counted: { last: number; kept: number }): void {
    if (counted.last === counted.kept) {
      this.#insert(job, ++counted.last, thinned());
      counted.kept += 1;
    }
    const surplus = counted.kept - tuningLimits.eventsMax + thinnedAtOnce;
    const gone = this.#sql.exec(
      `DELETE FROM events WHERE job = ?1 AND number IN (
         SELECT number FROM events WHERE job = ?1 ORDER BY type <> 'metrics', number LIMIT ?2
       ) RETURNING number`,
      job,
      surplus,
    );
    counted.kept -= gone.toArray().length;
  }
}

const thinnedAtOnce = 200;
const tooMuch = JSON.stringify({
  left_out: `more than ${tuningLimits.eventDataCharactersMax} characters`,
});

function thinned(): NewEvent {
  const message = `More than ${tuningLimits.eventsMax} events: from now on the oldest are dropped, metrics first.`;
  return { at: Date.now(), level: "warn", message, type: "message", data: {} };
}

export function showCheckpoint(
  { id, name }: { id: TuningJobId; name: string },
  { step, at, metrics }: TuningCheckpoint,
): TuningCheckpointObject {
  return {
    object: "fine_tuning.job.checkpoint",
    id: idOf("ftckpt", id, step),
    created_at: Math.floor(at / 1_000),
    fine_tuned_model_checkpoint: `${name}:ckpt-step-${step}`,
    fine_tuning_job_id: id,
    step_number: step,
    metrics,
  };
}

export function showEvent({
  job,
  number,
  at,
  level,
  message,
  type,
  data,
}: EventRow): TuningEventObject {
  return {
    object: "fine_tuning.job.event",
    id: idOf("ftevent", job, number),
    created_at: Math.floor(at / 1_000),
    level,
    message,
    type,
    data: JSON.parse(data),
  };
}
