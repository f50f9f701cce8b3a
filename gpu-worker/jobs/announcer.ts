/** Tells the edge which models this worker has: POST /internal/workers at an interval and, soon, after each change. */
import type { ModelState, WorkerAnnouncement } from "#contract/models.ts";
import type { Log } from "../telemetry/log.ts";
import { pause } from "./backoff.ts";
import type { EdgeClient } from "./edge-client.ts";

export type AnnouncerOptions = {
  edge: Pick<EdgeClient, "post">;
  worker: string;
  models(): ModelState[];
  intervalMs: number;
  /** Changes within this time share an announcement. */
  gatherMs: number;
  log: Log;
};

export class Announcer {
  readonly #options: AnnouncerOptions;
  #changed = new AbortController();
  #failing = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** A model's state has changed. */
  change(): void {
    this.#changed.abort();
  }

  /** Announces until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { intervalMs, gatherMs } = this.#options;
    while (!signal.aborted) {
      this.#changed = new AbortController();
      await this.#announce(signal);
      await pause(gatherMs, signal);
      // Tried again soon: the edge cannot serve a model that it does not know of.
      if (this.#failing) continue;
      await pause(intervalMs - gatherMs, AbortSignal.any([signal, this.#changed.signal]));
    }
  }

  async #announce(signal: AbortSignal): Promise<void> {
    const { edge, worker, models, log } = this.#options;
    const announcement: WorkerAnnouncement = { worker, models: models() };
    try {
      const answer = await edge.post("/internal/workers", JSON.stringify(announcement), signal);
      if (answer.status >= 300) throw new Error(`the edge answered ${answer.status}`);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing && !signal.aborted) log.warn({ error }, "could not announce to the edge");
      this.#failing = true;
    }
  }
}
