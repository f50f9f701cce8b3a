/**
 * Reports what happens to computations to the shards that asked for them: a reporter for each shard, made when its
 * first computation begins and dropped when its last has ended and been acknowledged.
 */
import { addAbortListener } from "node:events";
import type { TerminalEvent, TokensEvent } from "#contract/events.ts";
import type { JobId } from "#contract/job-id.ts";
import { limits } from "#contract/limits.ts";
import { type InterimEvent, type ReporterOptions, ShardReporter } from "./shard-reporter.ts";

export class ComputationReporter {
  readonly #options: ReporterOptions;
  readonly #reporters = new Map<number, ShardReporter>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
    addAbortListener(options.signal, () => this.#stopTimer());
  }

  /** The computation is in flight from now until `end`. */
  begin(shard: number, id: JobId): void {
    this.#of(shard).begin(id);
  }

  end(shard: number, id: JobId): void {
    this.#of(shard).end(id);
  }

  /** With the shard's next post; a later event of the same computation and type replaces it. */
  report(shard: number, event: InterimEvent): void {
    this.#of(shard).report(event);
  }

  /**
   * What a computation has generated, in order: at once, with what others of the shard generate in the same turn of the
   * event loop.
   */
  stream(shard: number, event: TokensEvent): void {
    this.#of(shard).stream(event);
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
