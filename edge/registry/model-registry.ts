/**
 * The Durable Object that knows what workers said of their models, kept in SQLite so that listings and cache keys
 * outlive a fleet scaled to zero. One instance, "registry". Merging is merge-models.ts; isolates read a copy, never
 * this, on the hot path.
 */
import { DurableObject } from "cloudflare:workers";
import { limits } from "#contract/limits.ts";
import { type ModelDigest, ModelState, type WorkerAnnouncement } from "#contract/models.ts";
import { type Announced, type ModelListing, mergeModels } from "./merge-models.ts";

/** A digest that a result carried counts for so long: by then its worker has announced it, or is gone. */
const carriedMs = 1_000 * limits.workerLapsedSeconds;
/** Words of workers that are gone are forgotten once another worker has spoken for this long. */
const forgottenMs = 3_600_000;

declare module "../environment.ts" {
  interface Env {
    readonly REGISTRY: DurableObjectNamespace<ModelRegistry>;
  }
}

export class ModelRegistry extends DurableObject<object> {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS workers (worker TEXT PRIMARY KEY, seenAtMs INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS states (
        worker TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (worker, model)
      );
      CREATE TABLE IF NOT EXISTS carried (
        model TEXT NOT NULL, digest TEXT NOT NULL, atMs INTEGER NOT NULL, PRIMARY KEY (model, digest)
      );
      CREATE TABLE IF NOT EXISTS firstSeen (model TEXT PRIMARY KEY, atMs INTEGER NOT NULL);
    `);
  }

  /** Replaces what `worker` said before. Rows that did not change are not written again. */
  async announce(announcement: WorkerAnnouncement): Promise<void> {
    const { worker, models } = announcement;
    const nowMs = Date.now();
    this.#sql.exec("INSERT OR REPLACE INTO workers VALUES (?, ?)", worker, nowMs);
    for (const model of models) {
      this.#keep(worker, model);
      // What is announced is newer than what results carried before.
      if (model.digest !== null) this.#sql.exec("DELETE FROM carried WHERE model = ?", model.id);
    }
    this.#dropAbsent(worker, new Set(models.map(({ id }) => id)));
    this.#forget(nowMs);
  }

  /** Results carry these digests now, whatever has been announced so far. */
  async carry(models: readonly ModelDigest[]): Promise<void> {
    const nowMs = Date.now();
    this.#sql.exec("DELETE FROM carried WHERE atMs < ?", nowMs - carriedMs);
    for (const { id, digest } of models) {
      this.#sql.exec("INSERT OR REPLACE INTO carried VALUES (?, ?, ?)", id, digest, nowMs);
    }
  }

  /** Every model that is known, merged over workers and the catalogue. */
  async list(): Promise<ModelListing[]> {
    const nowMs = Date.now();
    const announced = this.#sql
      .exec<{ state: string; seenAtMs: number }>(
        "SELECT state, seenAtMs FROM states JOIN workers USING (worker)",
      )
      .toArray()
      .map(({ state, seenAtMs }): Announced => {
        const live = nowMs - seenAtMs < limits.workerLapsedSeconds * 1_000;
        return { state: ModelState.parse(JSON.parse(state)), seenAtMs, live };
      });
    const carried = this.#sql
      .exec<ModelDigest>(
        "SELECT model AS id, digest FROM carried WHERE atMs >= ?",
        nowMs - carriedMs,
      )
      .toArray();
    return mergeModels(announced, carried).map((model) => ({
      ...model,
      createdAtMs: this.#firstSeen(model.id, nowMs),
    }));
  }

  #keep(worker: string, model: ModelState): void {
    this.#sql.exec(
      `INSERT INTO states VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET state = excluded.state WHERE state <> excluded.state`,
      worker,
      model.id,
      JSON.stringify(model),
    );
  }

  #dropAbsent(worker: string, present: ReadonlySet<string>): void {
    const known = this.#sql
      .exec<{ model: string }>("SELECT model FROM states WHERE worker = ?", worker)
      .toArray();
    for (const { model } of known) {
      if (present.has(model)) continue;
      this.#sql.exec("DELETE FROM states WHERE worker = ? AND model = ?", worker, model);
    }
  }

  #forget(nowMs: number): void {
    const before = nowMs - forgottenMs;
    this.#sql.exec(
      "DELETE FROM states WHERE worker IN (SELECT worker FROM workers WHERE seenAtMs < ?)",
      before,
    );
    this.#sql.exec("DELETE FROM workers WHERE seenAtMs < ?", before);
  }

  #firstSeen(model: string, nowMs: number): number {
    this.#sql.exec("INSERT OR IGNORE INTO firstSeen VALUES (?, ?)", model, nowMs);
    return this.#sql
      .exec<{ atMs: number }>("SELECT atMs FROM firstSeen WHERE model = ?", model)
      .one().atMs;
  }
}
