/**
 * Gathers the items of many requests for one model into batches, which a scheduler shared with other models starts, and
 * gives every request its own rows in order.
 *
 * A request with many items alternates with the others: its items fall into quanta of `quantumTokens`, served by start
 * tag, and requests of one tenant share that tenant's quanta (see fair-queueing.ts). A tenant of which nothing was
 * served for `waitMsMax` goes first, whatever the start tags. Items of an aborted request are dropped, also from a
 * batch that has not started; a running batch is aborted when all its requests are. A batch that fails is halved until
 * the item at fault fails alone.
 */
import { addAbortListener } from "node:events";
import { type BatchPolicy, planBatch } from "./batch-policy.ts";
import type { QueueFront } from "./slot-policy.ts";
import type { SlotBatch, SlotScheduler, SlotUser } from "./slot-scheduler.ts";
import type { Tenant } from "./fair-queueing.ts";

export type BatchStats = { entries: number; tokens: number; tokensPadded: number; seconds: number };

export type QueuePolicy = BatchPolicy & {
  /** Tokens of a tenant that are served before others are: the quantum of its fair share. */
  quantumTokens: number;
  /** What waits is shared among the batches that could start, but no batch is made smaller than this. */
  tokensMin: number;
  /** A tenant of which nothing was served for so long goes first. */
  waitMsMax: number;
};

export type BatchQueueOptions<Item, Row, Prepared> = {
  policy: QueuePolicy;
  /** Shared with the queues of other models. */
  scheduler: SlotScheduler;
  /** Batches of all models that may run side by side when one of this queue starts. */
  slots: number;
  /** Tokens of an item. */
  lengthOf(item: Item): number;
  /** Positions that an item asks for, see run-memory.ts. Default: none. */
  askedOf?(item: Item): number;
  /** The part of a batch's work that can be done before it has a slot. */
  prepare(items: readonly Item[]): Prepared;
  /** Computes one batch: a row per item, in order. */
  run(prepared: Prepared, signal: AbortSignal): Promise<readonly Row[]>;
  /** Milliseconds of a monotonic clock. */
  now(): number;
  onBatch?(stats: BatchStats): void;
  /** The backlog has changed. */
  onChange?(): void;
};

export type SubmitOptions = {
  signal: AbortSignal;
  /** Whose share this request takes, together with the tenant's other requests. Absent: a tenant of its own. */
  tenant?: string;
  onProgress?(completed: number, total: number): void;
  /** Tokens of this request are in a batch that starts to run. */
  onRun?(tokens: number): void;
};

/** A request's items on their way. */
type Submission<Row> = {
  tenant: Tenant;
  rows: Row[];
  remaining: number;
  total: number;
  /** Items that are in no batch yet, and their tokens. */
  waiting: number;
  waitingTokens: number;
  gone: boolean;
  onProgress: SubmitOptions["onProgress"];
  onRun: SubmitOptions["onRun"];
  /** To the signal of the request, until this is closed. */
  listening: Disposable;
  resolve(rows: Row[]): void;
  reject(reason: unknown): void;
};
/** What waits of one tenant. */
type Backlog = {
  waiting: number;
  waitingTokens: number;
  /** When its first came, or something of it was last put in a batch. */
  since: number;
};
type Entry<Item, Row> = {
  item: Item;
  index: number;
  length: number;
  startTag: number;
  arrival: number;
  submission: Submission<Row>;
};
type Batch<Item, Row, Prepared> = {
  entries: readonly Entry<Item, Row>[];
  /** Of exactly `entries`; null: not yet. */
  prepared: { value: Prepared } | null;
  controller: AbortController;
};
type Outcome<Item, Row> = { entry: Entry<Item, Row> } & ({ row: Row } | { error: unknown });

export class BatchQueue<Item, Row, Prepared> implements SlotUser {
  readonly #options: BatchQueueOptions<Item, Row, Prepared>;
  /** In service order: by start tag, then by arrival. */
  #waiting: Entry<Item, Row>[] = [];
  #waitingTokens = 0;
  /** Of tenants with something in `#waiting`, the longest wait first. */
  readonly #backlogs = new Map<Tenant, Backlog>();
  /** Padding included, of the last batches; null: none has run. */
  #secondsPerToken: number | null = null;
  /** Taken and not ended. */
  readonly #batches = new Set<Batch<Item, Row, Prepared>>();

  constructor(options: BatchQueueOptions<Item, Row, Prepared>) {
    this.#options = options;
  }

  get slots(): number {
    return this.#options.slots;
  }

  /** Nothing waits and nothing runs. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#batches.size === 0;
  }

  get full(): boolean {
    const { tokensMax, entriesMax } = this.#options.policy;
    return this.#waitingTokens >= tokensMax || this.#waiting.length >= entriesMax;
  }

  /** Each tenant's tokens that are in no batch yet. */
  *backlog(): Generator<[Tenant, number]> {
    for (const [tenant, { waitingTokens }] of this.#backlogs) yield [tenant, waitingTokens];
  }

  front(): QueueFront | null {
    const [first] = this.#waiting;
    if (first === undefined) return null;
    const { startTag, arrival } = first;
    return { overdueSince: this.#overdue()?.[1].since ?? null, startTag, arrival };
  }

  /** @throws the signal's reason when it aborts, or what the batch's run threw for an item of this request */
  submit(items: readonly Item[], options: SubmitOptions): Promise<Row[]> {
    const { signal } = options;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (items.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const submission: Submission<Row> = {
        tenant: options.tenant ?? Symbol("a tenant of its own"),
        rows: [],
        remaining: items.length,
        total: items.length,
        waiting: items.length,
        waitingTokens: 0,
        gone: false,
        onProgress: options.onProgress,
        onRun: options.onRun,
        listening: addAbortListener(signal, () => this.#leave(submission, signal.reason)),
        resolve,
        reject,
      };
      this.#enqueue(items, submission);
    });
  }

  #enqueue(items: readonly Item[], submission: Submission<Row>): void {
    const { policy, lengthOf, scheduler, onChange, now } = this.#options;
    const lengths = items.map(lengthOf);
    submission.waitingTokens = sum(lengths);
    const quanta = submission.waitingTokens / policy.quantumTokens;
    const { first, step } = scheduler.fairQueueing.open(submission.tenant, quanta);
    const last = this.#waiting.at(-1)?.startTag ?? first;
    const arrival = scheduler.nextArrival();
    let tokensBefore = 0;
    for (const [index, item] of items.entries()) {
      const length = lengths[index] ?? 0;
      const startTag = first + step * Math.floor(tokensBefore / policy.quantumTokens);
      this.#waiting.push({ item, index, length, startTag, arrival, submission });
      tokensBefore += length;
    }
    this.#waitingTokens += submission.waitingTokens;
    const backlog = this.#backlogs.get(submission.tenant) ?? {
      waiting: 0,
      waitingTokens: 0,
      since: now(),
    };
    backlog.waiting += items.length;
    backlog.waitingTokens += submission.waitingTokens;
    this.#backlogs.set(submission.tenant, backlog);
    // The sort is stable: between equal start tags, arrival decides.
    if (last > first) this.#waiting.sort((a, b) => a.startTag - b.startTag);
    scheduler.wake(this);
    onChange?.();
  }

  #overdue(): [Tenant, Backlog] | null {
    const [longest] = this.#backlogs;
    if (longest === undefined) return null;
    const { now, policy } = this.#options;
    return now() - longest[1].since > policy.waitMsMax ? longest : null;
  }

  take(batches: number, secondsMax = Infinity): SlotBatch {
    const batch = {
      entries: this.#choose(batches, secondsMax),
      prepared: null,
      controller: new AbortController(),
    };
    this.#batches.add(batch);
    return { prepare: () => this.#prepare(batch), run: () => this.#run(batch) };
  }

  #choose(batches: number, secondsMax: number): Entry<Item, Row>[] {
    const { policy } = this.#options;
    const window = this.#window();
    const lengths = window.map((entry) => entry.length);
    const { askedOf = () => 0 } = this.#options;
    const asked = window.map(({ item }) => askedOf(item));
    const share = batches === 1 ? Infinity : Math.ceil(sum(lengths) / batches);
    const shared = Math.min(policy.tokensMax, Math.max(policy.tokensMin, share));
    const tokensMax = Math.min(shared, this.#tokensIn(secondsMax));
    const chosen = new Set(planBatch(lengths, { ...policy, tokensMax }, asked));
    const kept = window.filter((_, index) => !chosen.has(index));
    this.#waiting.splice(0, window.length, ...kept);
    const entries = [...chosen].flatMap((index) => window[index] ?? []);
    for (const entry of entries) this.#served(entry);
    return entries;
  }

  #tokensIn(seconds: number): number {
    if (seconds === Infinity) return Infinity;
    return this.#secondsPerToken === null ? 1 : Math.floor(seconds / this.#secondsPerToken);
  }

  /** The entries to choose from, in service order. */
  #window(): Entry<Item, Row>[] {
    const overdue = this.#overdue();
    if (overdue === null) {
      this.#options.scheduler.fairQueueing.advance(this.#waiting[0]?.startTag ?? 0);
    } else {
      const at = this.#waiting.findIndex(({ submission }) => submission.tenant === overdue[0]);
      this.#waiting.unshift(...this.#waiting.splice(at, 1));
    }
    return this.#waiting.slice(0, this.#options.policy.windowEntries);
  }

  #served({ submission, length }: Entry<Item, Row>): void {
    submission.waitingTokens -= length;
    submission.waiting -= 1;
    this.#reduce(submission.tenant, 1, length);
  }

  /** So much of a tenant no longer waits. */
  #reduce(tenant: Tenant, entries: number, tokens: number): void {
    this.#waitingTokens -= tokens;
    const backlog = this.#backlogs.get(tenant);
    if (backlog === undefined) return;
    backlog.waiting -= entries;
    backlog.waitingTokens -= tokens;
    backlog.since = this.#options.now();
    this.#backlogs.delete(tenant);
    if (backlog.waiting > 0) this.#backlogs.set(tenant, backlog);
  }

  #prepare(batch: Batch<Item, Row, Prepared>): void {
    try {
      const items = batch.entries.map((entry) => entry.item);
      batch.prepared = { value: this.#options.prepare(items) };
    } catch {
      // Tried again when it runs, where halving finds the item at fault.
      batch.prepared = null;
    }
  }

  async #run(batch: Batch<Item, Row, Prepared>): Promise<() => void> {
    const startedAt = this.#options.now();
    for (const { submission, length } of batch.entries)
      if (!submission.gone) submission.onRun?.(length);
    const outcomes = await this.#execute(batch);
    const seconds = (this.#options.now() - startedAt) / 1_000;
    this.#batches.delete(batch);
    return () => {
      if (outcomes.length > 0) this.#report(outcomes, seconds);
      for (const outcome of outcomes) this.#settle(outcome);
      this.#options.onChange?.();
    };
  }

  /** @returns the outcomes of the entries whose requests were not aborted when it started */
  async #execute(batch: Batch<Item, Row, Prepared>): Promise<Outcome<Item, Row>[]> {
    const { signal } = batch.controller;
    const live = batch.entries.filter((entry) => !entry.submission.gone);
    if (live.length === 0) return [];
    try {
      const same = live.length === batch.entries.length ? batch.prepared : null;
      const prepared = same?.value ?? this.#options.prepare(live.map((entry) => entry.item));
      const rows = await this.#options.run(prepared, signal);
      if (rows.length !== live.length) throw new Error("a batch gave the wrong number of rows");
      return rows.flatMap((row, at) => {
        const entry = live[at];
        return entry === undefined ? [] : [{ entry, row }];
      });
    } catch (error) {
      if (live.length === 1 || signal.aborted) return live.map((entry) => ({ entry, error }));
      return this.#executeHalves(batch, live);
    }
  }

  async #executeHalves(
    batch: Batch<Item, Row, Prepared>,
    entries: readonly Entry<Item, Row>[],
  ): Promise<Outcome<Item, Row>[]> {
    const half = entries.length >> 1;
    const part = (of: readonly Entry<Item, Row>[]) => ({ ...batch, entries: of, prepared: null });
    const first = await this.#execute(part(entries.slice(0, half)));
    return [...first, ...(await this.#execute(part(entries.slice(half))))];
  }

  #settle(outcome: Outcome<Item, Row>): void {
    const { submission, index } = outcome.entry;
    if (submission.gone) return;
    if ("error" in outcome) return this.#leave(submission, outcome.error);
    submission.rows[index] = outcome.row;
    submission.remaining -= 1;
    if (submission.remaining > 0) {
      submission.onProgress?.(submission.total - submission.remaining, submission.total);
      return;
    }
    this.#close(submission);
    submission.resolve(submission.rows);
  }

  #leave(submission: Submission<Row>, reason: unknown): void {
    if (submission.gone) return;
    this.#close(submission);
    if (submission.waiting > 0) {
      this.#waiting = this.#waiting.filter((entry) => entry.submission !== submission);
      this.#reduce(submission.tenant, submission.waiting, submission.waitingTokens);
    }
    for (const { entries, controller } of this.#batches) {
      if (entries.every((entry) => entry.submission.gone)) controller.abort(reason);
    }
    submission.reject(reason);
    this.#options.onChange?.();
  }

  #close(submission: Submission<Row>): void {
    submission.gone = true;
    submission.listening[Symbol.dispose]();
    this.#options.scheduler.fairQueueing.close(submission.tenant);
  }

  #report(outcomes: readonly Outcome<Item, Row>[], seconds: number): void {
    const lengths = outcomes.map(({ entry }) => entry.length);
    const tokensPadded = Math.max(...lengths) * lengths.length;
    const perToken = seconds / tokensPadded;
    this.#secondsPerToken = ((this.#secondsPerToken ?? perToken) * 3 + perToken) / 4;
    const tokens = sum(lengths);
    this.#options.onBatch?.({ entries: lengths.length, tokens, tokensPadded, seconds });
  }
}

function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total + length, 0);
}
