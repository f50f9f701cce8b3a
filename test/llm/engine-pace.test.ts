/**
 * How far apart tokens come while something else is computed: on a clock that runs as the modelled runs take, so that
 * only what is decided counts.
 */
import { describe, expect, it } from "vitest";
import { BatchQueue } from "../../gpu-worker/batching/batch-queue.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import type { Engine } from "../../gpu-worker/llm/engine.ts";
import { cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { type Clock, makeEngine, range, turn } from "./toy-engine.ts";
import { writeText } from "./write-text.ts";

/**
 * Milliseconds of a run: for the weights, for each text that gets a token, and for each token of a prompt. Those of
 * SmolLM2-135M in int8 on one core.
 */
const costs = { weights: 7, text: 1.4, promptToken: 1 };

function open(slots = 32) {
  const clock: Clock = { now: 0 };
  const scheduler = new SlotScheduler();
  const limits = { slots, stepTokensMax: 256 };
  const { session, engine } = makeEngine(limits, 4_096, { clock, scheduler });
  session.gate = async ({ texts, tokens, piece = 0 }) => {
    const read = (tokens === 1 ? piece : tokens) * costs.promptToken;
    const work = tokens === 1 ? texts * costs.text + read : read;
    clock.now += costs.weights + work;
    await turn();
  };
  return { clock, scheduler, engine };
}

/** Of an encoder, whose inputs are lengths. */
function openQueue(clock: Clock, scheduler: SlotScheduler) {
  return new BatchQueue<number, number, readonly number[]>({
    policy: cpuBatchPolicy,
    scheduler,
    slots: 2,
    lengthOf: (length) => length,
    now: () => clock.now,
    prepare: (lengths) => lengths,
    run: async (lengths) => {
      clock.now += 0.2 + Math.max(...lengths) * lengths.length * 0.05;
      await turn();
      return lengths;
    },
  });
}

/** Texts that are written until told to stop, and when their tokens came. */
function stream(engine: Engine, clock: Clock, count: number) {
  let stopped = false;
  const times = Array.from({ length: count }, (): number[] => []);
  const texts = times.map((own, at) =>
    writeText(engine, range(8, at), {
      maxTokens: 4_000,
      tenant: `stream ${at}`,
      onToken: () => {
        own.push(clock.now);
        return !stopped;
      },
    }),
  );
  const stop = async () => {
    stopped = true;
    await Promise.all(texts);
  };
  const flowing = async () => {
    while (times.some((own) => own.length < 20)) await turn();
  };
  return { times, stop, flowing };
}

function gaps(times: readonly number[][], from: number, to: number): number[] {
  const all = times.flatMap((own) => own.slice(1).map((time, at) => [own[at] ?? 0, time] as const));
  const inside = all.filter(([before, after]) => before >= from && after <= to);
  return inside.map(([before, after]) => after - before).toSorted((a, b) => a - b);
}

const quantile = (sorted: readonly number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** When the prompt's first token comes, from now. */
async function firstToken(engine: Engine, clock: Clock, prompt: readonly number[]) {
  const from = clock.now;
  await writeText(engine, prompt, { maxTokens: 1, tenant: `first ${from}` });
  return { from, to: clock.now, took: clock.now - from };
}

describe("tokens of texts that are written", () => {
  it.each([8, 16])(
    "of %i come at most half as far apart again while a prompt of 512 is read, in four times its time alone",
    async (count) => {
      // However few slots are free: what a step reads of prompts is not what its texts leave.
      const { clock, engine } = open(count + 1);
      const alone = await firstToken(engine, clock, range(512, 3));
      const { times, stop, flowing } = stream(engine, clock, count);
      await flowing();
      const usual = quantile(gaps(times, alone.to, clock.now), 0.5);
      const beside = await firstToken(engine, clock, range(512, 7));
      await stop();
      const during = gaps(times, beside.from, beside.to);
      expect(during.length).toBeGreaterThan(10 * count);
      expect(quantile(during, 0.99) / usual).toBeLessThan(1.5);
      expect(beside.took / alone.took).toBeLessThan(4);
    },
  );

  it("come at most half as far apart again while short prompts arrive all the time", async () => {
    const { clock, engine } = open(32);
    const { times, stop, flowing } = stream(engine, clock, 8);
    await flowing();
    const usual = quantile(gaps(times, 0, clock.now), 0.5);
    const from = clock.now;
    const short = (at: number) =>
      writeText(engine, range(6, at), { maxTokens: 2, tenant: `short ${at % 5}` });
    for (let round = 0; round < 12; round += 1) {
      await Promise.all(Array.from({ length: 6 }, (_, at) => short(round * 6 + at)));
    }
    await stop();
    const during = gaps(times, from, clock.now);
    expect(during.length).toBeGreaterThan(400);
    // A prompt that is read beside the streams makes two tokens beside them.
    const beside = usual + 6 * costs.text;
    expect(quantile(during, 0.99) / beside).toBeLessThan(1.5);
  });

  it("come as far apart while an encoder has all it could do, which gets a share of the time", async () => {
    const { clock, scheduler, engine } = open();
    const queue = openQueue(clock, scheduler);
    const { times, stop, flowing } = stream(engine, clock, 8);
    await flowing();
    const usual = quantile(gaps(times, 0, clock.now), 0.5);
    const signal = new AbortController().signal;
    const from = clock.now;
    const lengths = Array.from({ length: 1_000 }, (_, at) => 4 + (at % 29));
    await queue.submit(lengths, { signal });
    const done = clock.now;
    await stop();
    const during = gaps(times, from, done);
    // Two batches side by side have a quantum each.
    expect(quantile(during, 0.99) / usual).toBeLessThan(2);
    const work = lengths.reduce((sum, length) => sum + length * 0.05, 0);
    expect((done - from) / work).toBeLessThan(5);
  });
});

/** Of one tenant, which nothing is written for. */
async function readPrompts(engine: Engine, promptLogprobs: boolean): Promise<void> {
  const prompts = Array.from({ length: 24 }, (_, at) =>
    writeText(engine, range(400, at), { maxTokens: 0, promptLogprobs, tenant: "reader" }),
  );
  await Promise.all(prompts);
}

describe("a caller of an encoder", () => {
  it.each([false, true])(
    "waits for a twentieth of a second while prompts are only read, once it calls again (log probabilities: %s)",
    async (promptLogprobs) => {
      const { clock, scheduler, engine } = open();
      const queue = openQueue(clock, scheduler);
      const signal = new AbortController().signal;
      const reader = { done: false };
      const read = readPrompts(engine, promptLogprobs).finally(() => (reader.done = true));
      const waits: number[] = [];
      while (!reader.done) {
        const from = clock.now;
        await queue.submit([12], { signal, tenant: "caller" });
        waits.push(clock.now - from);
        // It thinks for a while.
        const next = clock.now + 20;
        while (!reader.done && clock.now < next) await turn();
      }
      await read;
      expect(waits.length).toBeGreaterThan(50);
      expect(Math.max(...waits.slice(2))).toBeLessThan(80);
      // As many tokens a second as without it, but for its own and what more runs cost.
      const alone = open();
      await readPrompts(alone.engine, promptLogprobs);
      expect(clock.now / alone.clock.now).toBeLessThan(1.5);
    },
  );

  it("waits for a quarter of one at most where it calls again after a pause", async () => {
    const { clock, scheduler, engine } = open();
    const queue = openQueue(clock, scheduler);
    const signal = new AbortController().signal;
    const reader = { done: false };
    const call = async () => {
      const from = clock.now;
      await queue.submit([12], { signal, tenant: "caller" });
      return clock.now - from;
    };
    await call();
    const read = readPrompts(engine, true).finally(() => (reader.done = true));
    const waits: number[] = [];
    while (!reader.done) {
      // Each time another part of a step is over by then.
      const next = clock.now + 2_500 + 60 * waits.length;
      while (!reader.done && clock.now < next) await turn();
      if (!reader.done) waits.push(await call());
    }
    await read;
    expect(waits.length).toBeGreaterThan(3);
    expect(Math.max(...waits)).toBeLessThan(280);
  });
});
