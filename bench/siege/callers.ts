/**
 * Those who call during a siege: honest ones who wait for short answers, well-behaved ones who spend so many tokens a
 * second, and hostile ones. Each is a loop that ends when its signal does; what was met is noted, and judged by nobody
 * here.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import type { Random } from "../harness/random.ts";
import type { Call, HostileCalls } from "./hostile-calls.ts";

export type Target = { url: string; operatorKey: string };

/** What was met, by status; 0 stands for callers who hung up. */
export type Met = {
  statuses: Map<number, number>;
  /** Answers of 500 and above, and connections that broke. */
  failures: string[];
  latenciesMs: number[];
};

export function nothingMet(): Met {
  return { statuses: new Map(), failures: [], latenciesMs: [] };
}

const answerBytesMax = 64 * 2 ** 20;
const connections = 128;
const pauseAfterRefusalMs = 20;

export class Callers {
  readonly #target: Target;
  readonly #agent = new Agent({ connections, headersTimeout: 120_000, bodyTimeout: 120_000 });

  constructor(target: Target) {
    this.#target = target;
  }

  /** Short texts, one after the other, by the operator. */
  async honest(name: string, met: Met, signal: AbortSignal): Promise<void> {
    for (let i = 0; !signal.aborted; i += 1) {
      const sentAt = performance.now();
      const input = `honest ${name}: question ${i} of somebody who waits for the answer`;
      const call = embed(input);
      const headers = { ...call.headers, authorization: `Bearer ${this.#target.operatorKey}` };
      const status = await this.#send({ ...call, headers }, met, signal);
      if (status === 200) met.latenciesMs.push(performance.now() - sentAt);
      else if (status !== null) met.failures.push(`an honest call was answered ${status}`);
    }
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
  async each(calls: readonly Call[], met: Met, signal: AbortSignal): Promise<void> {
    for (const call of calls) await this.#send(call, met, signal);
  }

  /** Jobs that were made are cancelled by and by. */
  async hostile(calls: HostileCalls, random: Random, met: Met, signal: AbortSignal): Promise<void> {
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
      const kept = answer.statusCode >= 500 ? await answer.body.text() : null;
      if (kept === null) await answer.body.dump({ limit: answerBytesMax, signal });
      else met.failures.push(`${answer.statusCode} ${call.address}: ${kept.slice(0, 300)}`);
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

function embed(input: string | string[]): Call {
  return {
    method: "POST",
    address: "/v1/embeddings",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "all-MiniLM-L6-v2", input, encoding_format: "base64" }),
    patienceMs: 120_000,
  };
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
