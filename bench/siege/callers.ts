/**
 * Those who call during a siege: honest ones who wait for short answers, well-behaved ones who spend so many tokens a
 * second, and hostile ones. Each is a loop that ends when its signal does; what was met is noted, and judged by nobody
 * here.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import { quantile } from "../harness/http-load.ts";
import type { Random } from "../../contract/random.ts";
import { type Call, post } from "./hostile-calls.ts";

export type Target = { url: string; operatorKey: string };

/** What was met, by status; 0 stands for callers who hung up. */
export type Met = {
  statuses: Map<number, number>;
  /** Answers of 500 and above, and connections that broke. */
  failures: string[];
  /** Of answers that were wanted, in milliseconds. */
  latenciesMs: number[];
  /** That answers of 200 said they took. */
  tokens: number;
};

export function nothingMet(): Met {
  return { statuses: new Map(), failures: [], latenciesMs: [], tokens: 0 };
}

/** @returns milliseconds that this share of the answers took at most */
export function latencyAt({ latenciesMs }: Met, share: number): number {
  return quantile(
    latenciesMs.toSorted((a, b) => a - b),
    share,
  );
}

/** Its statuses, in words. */
export function describeMet({ statuses }: Met): string {
  const counted = [...statuses].toSorted(([a], [b]) => a - b);
  return counted.map(([status, n]) => `${n} × ${status === 0 ? "hung up" : status}`).join(", ");
}

/** What comes next from a hostile caller. */
export type CallSource = { next(): Call };

/** Of the end of an answer, where its usage is. */
const usageCharactersMax = 1_000;
const connections = 128;
const pauseAfterRefusalMs = 20;
const noEnd = new AbortController().signal;

export class Callers {
  readonly #target: Target;
  readonly #agent = new Agent({ connections, headersTimeout: 120_000, bodyTimeout: 120_000 });

  constructor(target: Target) {
    this.#target = target;
  }

  /** Short texts, one after the other, by the operator. */
  honest(name: string, met: Met, signal: AbortSignal): Promise<void> {
    const textOf = (i: number) =>
      `honest ${name}: question ${i} of somebody who waits for the answer`;
    return this.waiting((i) => this.byOperator(embed(textOf(i))), met, signal);
  }

  /** One call after the other, `pauseMs` apart, each of which must be answered: none is begun once `over` is. */
  async waiting(
    callOf: (i: number) => Call,
    met: Met,
    over: AbortSignal,
    pauseMs = 0,
  ): Promise<void> {
    for (let i = 0; !over.aborted; i += 1) {
      const sentAt = performance.now();
      const status = await this.#send(callOf(i), met, noEnd);
      if (status === 200) met.latenciesMs.push(performance.now() - sentAt);
      else if (status !== null) met.failures.push(`an honest call was answered ${status}`);
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal: over }).catch(() => {});
    }
  }

  byOperator(call: Call): Call {
    const authorization = `Bearer ${this.#target.operatorKey}`;
    return { ...call, headers: { ...call.headers, authorization } };
  }

  /** @param share tokens a second of this caller */
  async wellBehaved(name: string, share: number, met: Met, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    for (let tokens = 0, i = 0; !signal.aborted; i += 1) {
      const earlyMs = (1_000 * tokens) / share - (performance.now() - startedAt);
      if (earlyMs > 0) await delay(earlyMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      tokens += tokensOfOrdinaryCall;
      await this.#send(embed(ordinaryTexts(`${name} ${i}`)), met, signal);
    }
  }

  /** The calls, one after the other. */
  async each(calls: Iterable<Call>, met: Met, signal: AbortSignal): Promise<void> {
    for (const call of calls) await this.#send(call, met, signal);
  }

  /** Jobs that were made are cancelled by and by. */
  async hostile(calls: CallSource, random: Random, met: Met, signal: AbortSignal): Promise<void> {
    const jobs: string[] = [];
    while (!signal.aborted) {
      const status = await this.#send(calls.next(), met, signal, (job) => jobs.push(job));
      if (status === 429) await delay(pauseAfterRefusalMs, undefined, { signal }).catch(() => {});
      if (jobs.length > 2 || (jobs.length > 0 && random() < 0.3))
        await this.#cancel(jobs, met, signal);
    }
    while (jobs.length > 0) await this.#cancel(jobs, met, AbortSignal.timeout(10_000));
  }

  /** Units the free tier has left today. */
  async unitsLeft(): Promise<number> {
    const { headers, body } = await request(`${this.#target.url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "all-MiniLM-L6-v2", input: "how much is left" }),
    });
    await body.dump();
    return Number(headers["x-ratelimit-remaining-tokens"]);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #cancel(jobs: string[], met: Met, signal: AbortSignal): Promise<void> {
    const address = jobs.shift();
    if (address === undefined) return;
    const call = { method: "POST", headers: {}, body: null, patienceMs: 10_000 } as const;
    await this.#send({ ...call, address: `${address}/cancel` }, met, signal);
  }

  /** @returns the status; null where the caller hung up, or the siege was over */
  async #send(
    call: Call,
    met: Met,
    over: AbortSignal,
    onJob: (address: string) => void = () => {},
  ): Promise<number | null> {
    const signal = AbortSignal.any([over, AbortSignal.timeout(call.patienceMs)]);
    try {
      const { method, headers, body: sent } = call;
      const options = { method, headers, body: sent, signal, dispatcher: this.#agent };
      const answer = await request(`${this.#target.url}${call.address}`, options);
      const { location } = answer.headers;
      if (answer.statusCode === 202 && typeof location === "string") onJob(location);
      const kept = await answer.body.text();
      if (answer.statusCode >= 500)
        met.failures.push(`${answer.statusCode} ${call.address}: ${kept.slice(0, 300)}`);
      if (answer.statusCode === 200) met.tokens += tokensOf(kept);
      count(met, answer.statusCode);
      return answer.statusCode;
    } catch (error) {
      if (!signal.aborted) met.failures.push(`${call.address}: ${String(error)}`);
      count(met, 0);
      return null;
    }
  }
}

function count({ statuses }: Met, status: number): void {
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
}

/** As OpenAI's answers tell them, near their end. */
function tokensOf(answer: string): number {
  return Number(/"total_tokens":(\d+)/.exec(answer.slice(-usageCharactersMax))?.[1] ?? 0);
}

export function embed(input: string | string[]): Call {
  const body = { model: "all-MiniLM-L6-v2", input, encoding_format: "base64" };
  return { ...post("/v1/embeddings", body), patienceMs: 120_000 };
}

const textsOfOrdinaryCall = 4;
/** Of `ordinaryTexts`, about; what is really read is counted by the platform. */
const tokensOfOrdinaryCall = 4 * 28;

function ordinaryTexts(name: string): string[] {
  return Array.from(
    { length: textsOfOrdinaryCall },
    (_, i) =>
      `well-behaved ${name}.${i}: a sentence of some length, as people write them every day about the weather`,
  );
}
