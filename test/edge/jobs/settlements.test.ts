/**
 * Property: whatever order calls, hang-ups, cancellations, sends, workers' words and settlements come in, every
 * computation that ends is settled exactly once, with its own tokens, and no reservation stays open. The board and the
 * books are real, in a real object's SQLite; what travels between them and the workers is delayed, doubled and
 * reordered by a seed.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { TerminalEvent } from "../../../contract/events.ts";
import { formatJobId } from "../../../contract/job-id.ts";
import { QuotaLedger } from "../../../edge/accounts/quota-ledger.ts";
import { JobBoard } from "../../../edge/jobs/job-board.ts";
import { unitsOf } from "../../../edge/accounts/settle.ts";
import type { RunOutcome, RunRequest, ShardEvent } from "../../../edge/jobs/shard-protocol.ts";
import type { StoredResult } from "../../../edge/storage/stored-result.ts";
import { createTables } from "../../../edge/jobs/create-tables.ts";
import { JobRows } from "../../../edge/jobs/job-rows.ts";
import { ComputationRows } from "../../../edge/jobs/computation-rows.ts";

const tenant = "ip:203.0.113.9";
const estimate = 50;
const limits = { requestsPerMinute: 1_000_000, unitsPerDay: 1_000_000, openRequests: 1_000_000 };
const startMs = Date.UTC(2026, 10, 2);
const result: StoredResult = { kind: "inline", document: "{}\n" };
const requestKeys = ["a", "b"].map((letter) => letter.repeat(64));
const stepsMax = 400;

/** Numerical Recipes' linear congruential generator. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

type Held = { id: string; tokens: number; toldToGiveUp: boolean };
type Call = { waiter: string; left: boolean; outcome: RunOutcome | null; refused: boolean };

class Simulation {
  readonly #random: () => number;
  readonly #ledger: QuotaLedger;
  readonly #board: JobBoard;
  /** What is on its way: any may come next. */
  readonly #underway: (() => void)[] = [];
  readonly #queue: string[] = [];
  readonly #held: Held[] = [];
  readonly calls: Call[] = [];
  readonly jobs: string[] = [];
  /** The first end of each job that the edge heard of, and what it is to be charged. */
  readonly ends = new Map<string, number>();
  /** What closed each reservation. */
  readonly closings: { id: string; units: number }[] = [];
  #ids = 0;
  #books = 0;

  constructor(seed: number, sql: SqlStorage) {
    this.#random = randomFrom(seed);
    createTables(sql);
    this.#ledger = new QuotaLedger(sql);
    this.#board = new JobBoard({
      rows: new JobRows(sql),
      computationRows: new ComputationRows(sql),
      silence: { silentMs: 180_000, unnamedMs: 86_400_000 },
      send: ({ id }) => this.#later(() => this.#send(id)),
      release: (_, id) => this.#later(() => this.#settle(id, 0)),
      tellGivenUp: () => false,
      notify: () => {},
      onSweepSooner: () => {},
      now: () => startMs,
      randomHex: () => this.#hex(),
    });
  }

  get idle(): boolean {
    return this.#underway.length + this.#queue.length + this.#held.length === 0;
  }

  /** Calls stop coming after a while, so that everything comes to an end. */
  step(callsCome: boolean): void {
    const act = this.#random();
    if (callsCome && act < 0.2) return this.#call();
    if (callsCome && act < 0.3) return this.#leaveOne();
    if (callsCome && act < 0.35) return this.#cancelOne();
    if (act < 0.55 && this.#queue.length > 0) return this.#receive();
    if (act < 0.75 && this.#held.length > 0) return this.#work();
    this.#take(this.#underway)?.();
  }

  #hex(): string {
    this.#ids += 1;
    return this.#ids.toString(16).padStart(32, "0");
  }

  #later(action: () => void): void {
    this.#underway.push(action);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  #take<T>(list: T[]): T | undefined {
    return list.splice(Math.floor(this.#random() * list.length), 1)[0];
  }

  /** The books' clock runs ahead of their rule for a cache that lags behind: here there is no cache at all. */
  #bookTime(): number {
    this.#books += 61_000;
    return startMs + this.#books;
  }

  #settle(id: string, units: number): void {
    if (this.#ledger.settle(id, units, this.#bookTime())) this.closings.push({ id, units });
  }

  #reserve(requestKey: string | null, again = false): string {
    const jobId = formatJobId(0, this.#hex());
    const request = { jobId, requestKey, units: estimate, again };
    return this.#ledger.reserve(request, limits, this.#bookTime()).jobId;
  }

  #call(): void {
    const requestKey = this.#random() < 0.8 ? (this.#pick(requestKeys) ?? null) : null;
    const asynchronous = this.#random() < 0.3;
    const call: Call = { waiter: this.#hex(), left: false, outcome: null, refused: false };
    this.calls.push(call);
    const run = (id: string) =>
      this.#later(() => this.#run(call, { id, requestKey, asynchronous }, () => retry()));
    const retry = () => this.#later(() => run(this.#reserve(requestKey, true)));
    run(this.#reserve(requestKey));
  }

  #run(
    call: Call,
    {
      id,
      requestKey,
      asynchronous,
    }: { id: string; requestKey: string | null; asynchronous: boolean },
    onClosed: () => void,
  ): void {
    const request: RunRequest = {
      job: {
        id,
        tenant,
        task: "feature-extraction",
        model: "m",
        requestKey,
        createdAt: startMs + this.#ids,
        rendering: { route: "tasks" },
        warnings: [],
      },
      message: `{"id":"${id}"}`,
      messageBytes: 100,
      keep: asynchronous ? "from-start" : "if-it-outlasts",
      wait: asynchronous
        ? null
        : { waiter: call.waiter, milliseconds: 1_000_000, graceMilliseconds: 0 },
      webhook: null,
    };
    const told = (outcome: RunOutcome) => {
      if (outcome.kind === "closed") return onClosed();
      call.outcome = outcome;
      if (outcome.kind === "waiting") this.jobs.push(outcome.job.id);
    };
    const outcome = this.#board.run(request);
    if (outcome instanceof Promise) void outcome.then(told);
    else told(outcome);
  }

  #leaveOne(): void {
    const call = this.#pick(this.calls);
    if (call === undefined || call.outcome !== null) return;
    call.left = true;
    this.#later(() => this.#board.leave(call.waiter));
  }

  #cancelOne(): void {
    const id = this.#pick(this.jobs);
    if (id !== undefined) this.#board.cancel(id, tenant);
  }

  /** The queue is down now and then, and may deliver twice. */
  #send(id: string): void {
    if (!this.#board.takeForSending(id)) return;
    if (this.#random() < 0.2) return this.#later(() => this.#send(id));
    this.#later(() => {
      this.#queue.push(id);
      if (this.#random() < 0.1) this.#queue.push(id);
      this.#later(() => this.#board.markSent(id));
    });
  }

  #receive(): void {
    const id = this.#take(this.#queue);
    if (id !== undefined) this.#held.push({ id, tokens: 0, toldToGiveUp: false });
  }

  /** A worker computes some more, reports, or comes to an end with one of its jobs. */
  #work(): void {
    const held = this.#pick(this.#held);
    if (held === undefined) return;
    const act = this.#random();
    if (act < 0.3) {
      held.tokens += 1 + Math.floor(this.#random() * 20);
    } else if (act < 0.6) {
      this.#later(() => {
        const { cancelled } = this.#board.receive({ events: [], inFlight: [held.id] });
        this.#later(() => (held.toldToGiveUp ||= cancelled.includes(held.id)));
      });
    } else {
      this.#held.splice(this.#held.indexOf(held), 1);
      this.#report(this.#endOf(held));
    }
  }

  #endOf({ id, tokens, toldToGiveUp }: Held): TerminalEvent {
    const common = { jobId: id, sequence: 1, tenant, requestKey: null };
    const usage = { promptTokens: tokens + (toldToGiveUp ? 0 : 1) };
    if (toldToGiveUp) return { ...common, type: "cancelled", usage };
    if (this.#random() < 0.2) {
      const code = this.#random() < 0.5 ? "internal_error" : "context_length_exceeded";
      return { ...common, type: "failed", error: { code, message: "", param: null }, usage };
    }
    const reference = { key: "k", bytes: 1, sha256: "0".repeat(64) };
    return { ...common, type: "succeeded", usage, modelDigest: "d", result: reference };
  }

  /** As the callback route does: the shard first, then the books, then the acknowledgement, which may be lost. */
  #report(event: TerminalEvent): void {
    this.#later(() => {
      const { verdicts } = this.#board.receive({ events: [forShard(event)], inFlight: [] });
      const units = verdicts[0]?.units ?? Number.NaN;
      if (!this.ends.has(event.jobId)) this.ends.set(event.jobId, unitsOf(event));
      this.#later(() => {
        if (this.#random() < 0.1) return this.#report(event);
        this.#settle(event.jobId, units);
        if (this.#random() < 0.1) this.#report(event);
      });
    });
  }
}

function forShard(event: TerminalEvent): ShardEvent {
  const { jobId, sequence, type } = event;
  const units = unitsOf(event);
  if (type === "succeeded") return { jobId, sequence, kind: type, units, result };
  if (type === "failed") return { jobId, sequence, kind: type, units, error: event.error };
  return { jobId, sequence, kind: type, units };
}

it.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  "every end is settled once with its tokens, and no reservation stays open (seed %i)",
  (seed) =>
    runInDurableObject(env.QUOTA.getByName(`settlements-${seed}`), async (_, { storage }) => {
      const simulation = new Simulation(seed, storage.sql);
      for (let step = 0; step < stepsMax || !simulation.idle; step += 1) {
        simulation.step(step < stepsMax);
        // Calls that wait are told in a microtask.
        await Promise.resolve();
        if (step > 100 * stepsMax) throw new Error("it never comes to an end");
      }
      const { calls, ends, closings } = simulation;
      expect(calls.filter(({ outcome }) => outcome === null)).toEqual([]);
      expect(ends.size).toBeGreaterThan(0);

      const closed = new Map(closings.map(({ id, units }) => [id, units]));
      expect(closings).toHaveLength(closed.size);
      // Two copies of a message may end differently: the one heard first counts.
      for (const [id, units] of ends) expect({ id, units: closed.get(id) }).toEqual({ id, units });
      const open = storage.sql.exec("SELECT jobId FROM reservations").toArray();
      expect(open).toEqual([]);
    }),
);
