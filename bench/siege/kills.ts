/**
 * Kills under load: 27 processes of the stack, chosen at random, are killed at random moments of four minutes, while
 * callers of the free tier ask and wait, and others ask for jobs and come back for them. Nothing may be lost, answered
 * by another's answer, or charged twice. KILL_SEED repeats the order of the kills.
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { cosine } from "../../gpu-worker/tensor/vectors.ts";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { type BenchContext, plainRow, type Row } from "../bench.ts";
import { type Random, randomFrom } from "../../contract/random.ts";

const kills = 27;
const seconds = 240;
const waitingCallers = 12;
const returningCallers = 6;
const unitsPerDay = 1_000_000_000;
const victims = ["worker", "worker-2", "edge", "workerd", "queue"] as const;
const retryPauseMs = 100;
const pollPauseMs = 250;

type Reply = { status: number; body: string; headers: Headers };
type Count = { answered: number; tokens: number; lost: string[]; wrong: string[] };

class LoadedStack {
  readonly #stack: RunningStack;
  readonly #signal: AbortSignal;
  readonly count: Count = { answered: 0, tokens: 0, lost: [], wrong: [] };
  /** What a calm stack is asked again at the end. */
  readonly asked = new Map<string, number[]>();

  constructor(stack: RunningStack, signal: AbortSignal) {
    this.#stack = stack;
    this.#signal = signal;
  }

  async askAndWait(name: string, over: AbortSignal): Promise<void> {
    for (let i = 0; !over.aborted; i += 1) {
      const text = textOf(name, i);
      const reply = await this.#insist("/v1/embeddings", bodyOf(text), {});
      this.#note(text, reply.status === 200 ? JSON.parse(reply.body) : null, reply);
    }
  }

  async askAndReturn(name: string, over: AbortSignal): Promise<void> {
    for (let i = 0; !over.aborted; i += 1) {
      const text = textOf(name, i);
      const prefer = { prefer: "respond-async" };
      const accepted = await this.#insist("/v1/embeddings", bodyOf(text), prefer);
      const address = accepted.headers.get("location");
      if (address === null) this.#note(text, null, accepted);
      else await this.#comeBack(address, text);
    }
  }

  /**
   * Units charged so far, but for those of the calls that ask it: the second is answered from the cache, at no cost.
   */
  async unitsUsed(): Promise<number> {
    const ask = () => this.#insist("/v1/embeddings", bodyOf(textOf("books", 0)), {});
    const asking: Embeddings = JSON.parse((await ask()).body);
    const { headers } = await ask();
    const used = unitsPerDay - Number(headers.get("x-ratelimit-remaining-tokens"));
    return used - asking.usage.total_tokens;
  }

  /** The vector that a text has on a calm stack: from the cache, or computed. */
  async calmVector(text: string): Promise<number[]> {
    const reply = await this.#insist("/v1/embeddings", bodyOf(text), {});
    return JSON.parse(reply.body).data[0].embedding;
  }

  async #comeBack(address: string, text: string): Promise<void> {
    for (;;) {
      await delay(pollPauseMs, undefined, { signal: this.#signal });
      const reply = await this.#insist(address, null, {});
      const job = reply.status === 200 ? JSON.parse(reply.body) : { status: "failed" };
      if (job.status === "starting" || job.status === "processing") continue;
      return this.#note(text, job.status === "succeeded" ? job.output : null, reply);
    }
  }

  #note(text: string, answer: Embeddings | null, reply: Reply): void {
    const vector = answer?.data[0]?.embedding;
    if (answer === null || vector === undefined) {
      this.count.lost.push(`${text}: ${reply.status} ${reply.body.slice(0, 200)}`);
      return;
    }
    this.count.answered += 1;
    this.count.tokens += answer.usage.total_tokens;
    this.asked.set(text, vector);
  }

  /** Asks until there is an answer that is no interruption, as any client with retries does. */
  async #insist(
    address: string,
    body: string | null,
    headers: Record<string, string>,
  ): Promise<Reply> {
    for (;;) {
      this.#signal.throwIfAborted();
      const reply = await this.#send(address, body, headers).catch(() => null);
      if (reply !== null && reply.status < 500) return reply;
      await delay(retryPauseMs, undefined, { signal: this.#signal });
    }
  }

  async #send(
    address: string,
    body: string | null,
    headers: Record<string, string>,
  ): Promise<Reply> {
    const response = await fetch(`${this.#stack.url}${address}`, {
      method: body === null ? "GET" : "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
    return { status: response.status, headers: response.headers, body: await response.text() };
  }
}

type Embeddings = { data: { embedding: number[] }[]; usage: { total_tokens: number } };

function textOf(name: string, i: number): string {
  return `${name}, request ${i}: ${"word ".repeat(i % 17)}`;
}

function bodyOf(input: string): string {
  return JSON.stringify({ model: "all-MiniLM-L6-v2", input });
}

async function killAtRandom(
  stack: RunningStack,
  random: Random,
  { print, signal }: BenchContext,
): Promise<void> {
  const moments = Array.from({ length: kills }, () => random() * seconds).toSorted((a, b) => a - b);
  const startedAt = performance.now();
  for (const moment of moments) {
    const waitMs = startedAt + 1_000 * moment - performance.now();
    if (waitMs > 0) await delay(waitMs, undefined, { signal });
    const victim = victims[Math.floor(random() * victims.length)] ?? "worker";
    print(`${moment.toFixed(0)} s: kill −9 of ${victim}`);
    await stack.kill(victim);
  }
}

/** Recomputed vectors differ in their last bits by the batch they were in. */
async function compareWithCalm(load: LoadedStack): Promise<void> {
  for (const [text, vector] of load.asked) {
    const nearness = cosine(vector, await load.calmVector(text));
    if (!(nearness > 0.999)) load.count.wrong.push(`${text}: cosine ${nearness}`);
  }
}

export async function killUnderLoad(context: BenchContext): Promise<Row[]> {
  const seed = Number(process.env["KILL_SEED"] ?? Date.now() % 1_000_000);
  context.print(`KILL_SEED=${seed}`);
  const stack = await startStack({
    workers: 2,
    env: {
      FREE_REQUESTS_PER_MINUTE: "1000000",
      FREE_REFUSALS_PER_MINUTE: "1000000",
      FREE_OPEN_REQUESTS: "1000",
      FREE_UNITS_PER_DAY: String(unitsPerDay),
    },
  });
  try {
    const load = new LoadedStack(stack, context.signal);
    const over = AbortSignal.any([context.signal, AbortSignal.timeout(1_000 * seconds)]);
    await Promise.all([
      killAtRandom(stack, randomFrom(seed), context),
      ...Array.from({ length: waitingCallers }, (_, i) => load.askAndWait(`waiting ${i}`, over)),
      ...Array.from({ length: returningCallers }, (_, i) => load.askAndReturn(`async ${i}`, over)),
    ]);
    const used = await load.unitsUsed();
    await compareWithCalm(load);
    const { answered, tokens, lost, wrong } = load.count;
    for (const line of [...lost, ...wrong].slice(0, 20)) context.print(`  ${line}`);
    return [
      plainRow("requests answered", "", answered),
      plainRow("kills", "", kills),
      plainRow("lost", "", lost.length),
      plainRow("answered wrongly", "", wrong.length),
      plainRow("charged over the answers", "tokens", used - tokens),
    ];
  } finally {
    await stack.stop();
  }
}
