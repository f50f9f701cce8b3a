/**
 * Gathers the items of many callers into batches, `concurrency` of them running at a time, and gives every caller his own rows in order.
 *
 * While batches run, what arrives waits and forms the next: no lingering, and an idle queue starts at the end of the
 * current turn of the event loop. A caller with many items takes turns with the others: his items fall into turns of
 * `turnEntries`, and a later caller joins at the current turn. Items of a caller who left are dropped; a running batch
 * is aborted when all its callers have left. A batch that fails is halved until the item at fault fails alone.
 */
import { type BatchPolicy, planBatch } from "./batch-policy.ts";

export type BatchStats = { entries: number; tokens: number; tokensPadded: number; seconds: number };

export type QueuePolicy = BatchPolicy & {
  /** A caller's sequences that go before other callers get their turn. */
  turnEntries: number;
  /** What waits is shared among the batches that could start, but none is made smaller than this for it. */
  tokensMin: number;
};

export type BatchQueueOptions<Item, Row> = {
  policy: QueuePolicy;
  /** Tokens of an item. */
  lengthOf(item: Item): number;
  /** Batches that run at the same time. */
  concurrency: number;
  /** Computes one batch: a row per item, in order. */
  run(items: readonly Item[], signal: AbortSignal): Promise<readonly Row[]>;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  onBatch?(stats: BatchStats): void;
  /** The backlog has changed. */
  onChange?(): void;
};

export type SubmitOptions = {
  signal: AbortSignal;
  onProgress?(completed: number, total: number): void;
};

type Group<Row> = {
  rows: Row[];
  remaining: number;
  total: number;
  /** Items that are in no batch yet, and their tokens. */
  waiting: number;
  waitingTokens: number;
  gone: boolean;
  onProgress: SubmitOptions["onProgress"];
  resolve(rows: Row[]): void;
  reject(reason: unknown): void;
};
type Entry<Item, Row> = {
  item: Item;
  index: number;
  length: number;
  turn: number;
  group: Group<Row>;
};
type Outcome<Row> = { row: Row } | { error: unknown };

export class BatchQueue<Item, Row> {
  readonly #options: BatchQueueOptions<Item, Row>;
  /** In service order: by turn, then by arrival. */
  #waiting: Entry<Item, Row>[] = [];
  /** Callers with something in `#waiting`. */
  readonly #groups = new Set<Group<Row>>();
  #turn = 0;
  readonly #running = new Set<{ entries: Entry<Item, Row>[]; controller: AbortController }>();
  #scheduled = false;

  constructor(options: BatchQueueOptions<Item, Row>) {
    this.#options = options;
  }

  /** Nothing waits and nothing runs. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** Tokens that wait, each caller's counted up to `perCallerMax`. */
  backlog(perCallerMax: number): number {
    let sum = 0;
    for (const group of this.#groups) sum += Math.min(group.waitingTokens, perCallerMax);
    return sum;
  }

  /** @throws the signal's reason when it aborts, or what the batch's run threw for an item of this caller */
  submit(items: readonly Item[], options: SubmitOptions): Promise<Row[]> {
    const { signal } = options;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (items.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const leave = () => this.#leave(group, signal.reason);
      const group: Group<Row> = {
        rows: [],
        remaining: items.length,
        total: items.length,
        waiting: items.length,
        waitingTokens: 0,
        gone: false,
        onProgress: options.onProgress,
        resolve: (rows) => {
          signal.removeEventListener("abort", leave);
          resolve(rows);
        },
        reject: (reason) => {
          signal.removeEventListener("abort", leave);
          reject(reason);
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#enqueue(items, group);
    });
  }

  #enqueue(items: readonly Item[], group: Group<Row>): void {
    const { policy, lengthOf } = this.#options;
    const tail = this.#waiting.at(-1)?.turn ?? this.#turn;
    for (const [index, item] of items.entries()) {
      const length = lengthOf(item);
      const turn = this.#turn + Math.floor(index / policy.turnEntries);
      this.#waiting.push({ item, index, length, turn, group });
      group.waitingTokens += length;
    }
    this.#groups.add(group);
    // The sort is stable: within a turn, arrival decides.
    if (tail > this.#turn) this.#waiting.sort((a, b) => a.turn - b.turn);
    this.#schedule();
    this.#options.onChange?.();
  }

  /** Starts after the current turn of the event loop, so that callers of the same moment share the first batch. */
  #schedule(): void {
    if (this.#scheduled || !this.#mayStart) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#mayStart) this.#startNext();
    });
  }

  get #mayStart(): boolean {
    return this.#waiting.length > 0 && this.#running.size < this.#options.concurrency;
  }

  #startNext(): void {
    const entries = this.#take();
    const controller = new AbortController();
    const running = { entries, controller };
    this.#running.add(running);
    const startedAt = this.#options.now();
    void this.#execute(entries, controller.signal).then((outcomes) => {
      this.#running.delete(running);
      // The next batch is given to the machine before this one's rows are looked at.
      if (this.#mayStart) this.#startNext();
      this.#report(entries, startedAt);
      for (const [position, entry] of entries.entries()) {
        this.#settle(
          entry,
          outcomes[position] ?? { error: new Error("the batch has no such row") },
        );
      }
      this.#options.onChange?.();
    });
  }

  #take(): Entry<Item, Row>[] {
    const { policy } = this.#options;
    const window = this.#waiting.slice(0, policy.windowEntries);
    this.#turn = window[0]?.turn ?? this.#turn;
    const lengths = window.map((entry) => entry.length);
    const tokensMax = Math.min(policy.tokensMax, Math.max(policy.tokensMin, this.#share(lengths)));
    const chosen = new Set(planBatch(lengths, { ...policy, tokensMax }));
    const kept = window.filter((_, index) => !chosen.has(index));
    this.#waiting.splice(0, window.length, ...kept);
    const entries = [...chosen].flatMap((index) => window[index] ?? []);
    for (const { group, length } of entries) {
      group.waitingTokens -= length;
      group.waiting -= 1;
      if (group.waiting === 0) this.#groups.delete(group);
    }
    return entries;
  }

  /** Tokens of what waits for each batch that could start now. */
  #share(lengths: readonly number[]): number {
    const free = this.#options.concurrency - this.#running.size;
    if (free === 1) return Infinity;
    return Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / free);
  }

  async #execute(entries: Entry<Item, Row>[], signal: AbortSignal): Promise<Outcome<Row>[]> {
    const live = entries.filter((entry) => !entry.group.gone);
    if (live.length === 0) return entries.map(() => ({ error: signal.reason }));
    try {
      const rows = await this.#options.run(
        entries.map((entry) => entry.item),
        signal,
      );
      if (rows.length !== entries.length) throw new Error("a batch gave the wrong number of rows");
      return rows.map((row) => ({ row }));
    } catch (error) {
      if (entries.length === 1 || signal.aborted) return entries.map(() => ({ error }));
      const half = entries.length >> 1;
      const first = await this.#execute(entries.slice(0, half), signal);
      return [...first, ...(await this.#execute(entries.slice(half), signal))];
    }
  }

  #settle(entry: Entry<Item, Row>, outcome: Outcome<Row>): void {
    const { group } = entry;
    if (group.gone) return;
    if ("error" in outcome) return this.#leave(group, outcome.error);
    group.rows[entry.index] = outcome.row;
    group.remaining -= 1;
    if (group.remaining > 0) {
      group.onProgress?.(group.total - group.remaining, group.total);
      return;
    }
    group.gone = true;
    group.resolve(group.rows);
  }

  #leave(group: Group<Row>, reason: unknown): void {
    if (group.gone) return;
    group.gone = true;
    if (this.#groups.delete(group)) {
      this.#waiting = this.#waiting.filter((entry) => entry.group !== group);
    }
    for (const { entries, controller } of this.#running) {
      if (entries.every((entry) => entry.group.gone)) controller.abort(reason);
    }
    group.reject(reason);
    this.#options.onChange?.();
  }

  #report(entries: Entry<Item, Row>[], startedAt: number): void {
    const lengths = entries.map((entry) => entry.length);
    this.#options.onBatch?.({
      entries: entries.length,
      tokens: lengths.reduce((sum, length) => sum + length, 0),
      tokensPadded: Math.max(...lengths) * entries.length,
      seconds: (this.#options.now() - startedAt) / 1_000,
    });
  }
}
