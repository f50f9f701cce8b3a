/** The reporters of all shards this worker works for: made when a shard's first job comes, dropped when its last is gone. */
import { addAbortListener } from "node:events";
import type { JobEvent, TerminalEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import { type ReporterOptions, ShardReporter } from "./shard-reporter.ts";

type NoteEvent = Exclude<JobEvent, TerminalEvent>;

export class EventReports {
  readonly #options: ReporterOptions;
  readonly #reporters = new Map<number, ShardReporter>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
    addAbortListener(options.signal, () => this.#stopTimer());
  }

  /** The job is worked on from now until `drop`. */
  hold(shard: number, job: JobId): void {
    this.#of(shard).hold(job);
  }

  drop(shard: number, job: JobId): void {
    this.#of(shard).drop(job);
  }

  /** For the shard's next report; a later note of the same job and type replaces it. */
  note(shard: number, event: NoteEvent): void {
    this.#of(shard).note(event);
  }

  /** Resolves when the shard has acknowledged the event; never, if reporting ends before. */
  deliver(shard: number, event: TerminalEvent): Promise<void> {
    return this.#of(shard).deliver(event);
  }

  #of(shard: number): ShardReporter {
    let reporter = this.#reporters.get(shard);
    if (reporter === undefined) {
      reporter = new ShardReporter(shard, this.#options);
      this.#reporters.set(shard, reporter);
      this.#timer ??= setInterval(() => this.#tick(), limits.reportIntervalMs / 4);
    }
    return reporter;
  }

  #tick(): void {
    for (const [shard, reporter] of this.#reporters) {
      if (reporter.idle) this.#reporters.delete(shard);
      else reporter.tick();
    }
    if (this.#reporters.size === 0) this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
