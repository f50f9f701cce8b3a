/** The engine on the toy decoder, one case at a time. */
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { describe, expect, it, vi } from "vitest";
import { watchDevice } from "../../gpu-worker/runtime/device-faults.ts";
import { bytesPerToken, expected, makeEngine, range, turn } from "./toy-engine.ts";
import type { ToyDecoder } from "./toy-decoder.ts";
import { writeText } from "./write-text.ts";

/** A gate at which each run waits until it is let through. */
function closeGate(session: ToyDecoder) {
  const waiting: PromiseWithResolvers<void>[] = [];
  session.gate = () => {
    const run = Promise.withResolvers<void>();
    waiting.push(run);
    return run.promise;
  };
  /** Lets one run through when it has come. */
  const pass = async (error?: Error) => {
    while (waiting.length === 0) await turn();
    const run = waiting.shift();
    if (error === undefined) run?.resolve();
    else run?.reject(error);
  };
  /** Lets all through from now on. */
  const open = () => {
    session.gate = async () => {};
    for (const run of waiting.splice(0)) run.resolve();
  };
  return { waiting, pass, open };
}

/** What a session on a device throws. */
function faultOfDevice(): Promise<Error> {
  const log = { info: () => undefined, warn: () => undefined };
  const watched = watchDevice(
    {
      name: "c-api",
      version: "1",
      providers: ["cuda"],
      threads: 1,
      deviceMemoryBytes: 0,
      describe: () => "a device that fails",
      load: () => Promise.reject(new Error("CUDA failure 700")),
    },
    { isFault: () => true, retest: async () => {}, onBroken: () => {}, log },
  );
  const loaded = watched.load({ path: "" }, { threads: 1, provider: "cuda" });
  return loaded.then(
    () => new Error("it loaded"),
    (error: Error) => error,
  );
}

describe("what is computed", () => {
  it("is one run of all texts a step, and each prompt once, whatever it begins with", async () => {
    const { session, engine } = makeEngine({ slots: 8, stepTokensMax: 64 });
    const prompts = [range(20), range(20, 3), range(20, 7)];
    const written = await Promise.all(
      prompts.map((prompt) => writeText(engine, prompt, { maxTokens: 12 })),
    );
    expect(written.map(({ tokens }) => tokens[0])).toEqual(
      prompts.map((prompt) => expected(prompt, 12)),
    );
    const decodes = session.runs.filter(({ tokens }) => tokens === 1);
    expect(decodes).toEqual(Array.from({ length: 11 }, () => ({ texts: 3, tokens: 1 })));
    expect(session.runs.filter(({ tokens }) => tokens > 1)).toHaveLength(3);
  });

  it("of several choices is their prompt once", async () => {
    const { session, engine } = makeEngine();
    const options = { choices: 5, maxTokens: 8, sampling: { temperature: 1, seed: 3 } };
    const { tokens, ran } = await writeText(engine, range(30), options);
    for (const [choice, own] of tokens.entries()) {
      expect(own).toEqual(expected(range(30), 8, { temperature: 1, seed: 3, choice }));
    }
    expect(new Set(tokens.map(String)).size).toBe(5);
    const read = session.runs
      .map(({ tokens: each, piece = each }) => piece)
      .filter((each) => each > 1);
    // A copy of the prompt's keys and values, and its last token read again with the one before it.
    expect([read, ran]).toEqual([[30, 2, 2, 2, 2], 30 + 40]);
  });

  it("is not what a tenant's text has in common with another of its own, but with nobody else's", async () => {
    const { session, engine } = makeEngine({ stepTokensMax: 64 });
    await writeText(engine, range(40), { tenant: "a" });
    const other = await writeText(engine, range(45), { tenant: "b" });
    const nobody = await writeText(engine, range(45));
    session.runs.length = 0;
    const own = await writeText(engine, range(45), { tenant: "a", maxTokens: 3 });
    expect([other.cachedTokens, nobody.cachedTokens, own.cachedTokens]).toEqual([0, 0, 40]);
    expect(session.runs[0]).toEqual({ texts: 1, tokens: 5 });
    expect(own.tokens[0]).toEqual(expected(range(45), 3));
  });

  it("is not the most that a text has in common with any of several others", async () => {
    const { engine } = makeEngine({ slots: 8, stepTokensMax: 64 });
    const others = [20, 48, 10].map((length, at) => [...range(length), ...range(40, 10 * at + 5)]);
    for (const prompt of others) await writeText(engine, prompt, { tenant: "a" });
    const found = await writeText(engine, range(60), { tenant: "a", maxTokens: 3 });
    expect(found.cachedTokens).toBe(48);
    expect(found.tokens[0]).toEqual(expected(range(60), 3));
  });

  it("begins where a conversation's last prompt ended: its answer is read anew", async () => {
    const { engine } = makeEngine({ stepTokensMax: 64 });
    const first = await writeText(engine, range(20), { tenant: "a", maxTokens: 10 });
    const prompt = [...range(20), ...(first.tokens[0] ?? []), 4, 5];
    const second = await writeText(engine, prompt, { tenant: "a", maxTokens: 10 });
    expect(second.cachedTokens).toBe(20);
    expect(second.tokens[0]).toEqual(expected(prompt, 10));
  });

  it("is in rows close together, however the texts before them ended", async () => {
    const { session, engine } = makeEngine({ slots: 16, stepTokensMax: 64 });
    const lengths = [4, 60, 8, 12, 16, 20, 24, 28, 32, 60];
    const written = await Promise.all(
      lengths.map((maxTokens, at) => writeText(engine, range(3, at), { maxTokens })),
    );
    for (const [at, { tokens }] of written.entries()) {
      expect(tokens[0]).toEqual(expected(range(3, at), lengths[at] ?? 0));
    }
    const last = session.runs.slice(-20).map(({ texts }) => texts);
    expect(new Set(last)).toEqual(new Set([2]));
    const rows = session.runs.filter(({ tokens }) => tokens === 1).map(({ texts }) => texts);
    const useful = lengths.reduce((sum, length) => sum + length - 1, 0);
    expect(rows.reduce((sum, texts) => sum + texts, 0)).toBeLessThan(1.5 * useful);
  });

  it("gives its slot up where memory is short, and goes on later", async () => {
    const { session, engine } = makeEngine({ slots: 4, memoryBytes: 96 * bytesPerToken });
    const prompts = [range(30), range(30, 5), range(30, 9)];
    const written = await Promise.all(
      prompts.map((prompt) => writeText(engine, prompt, { maxTokens: 40 })),
    );
    for (const [at, { tokens, ran }] of written.entries()) {
      expect(tokens[0]).toEqual(expected(prompts[at] ?? [], 40));
      expect(ran).toBe(70);
    }
    // Two prompts fit together, two whole texts do not.
    const read = session.runs.filter(({ tokens }) => tokens > 1);
    expect(read.length).toBeGreaterThan(3);
  });
});

describe("what ends a text", () => {
  it("is its caller, an end token, which is told, or its length", async () => {
    const { engine } = makeEngine();
    const whole = expected(range(5), 16);
    const end = whole[7] ?? -1;
    const upTo = whole.indexOf(end) + 1;
    const ended = await writeText(engine, range(5), { endTokens: new Set([end]) });
    const stopped = await writeText(engine, range(5), { onToken: () => false });
    const one = await writeText(engine, [7], { maxTokens: 1 });
    expect([ended.tokens, stopped.tokens]).toEqual([[whole.slice(0, upTo)], [whole.slice(0, 1)]]);
    expect(one.tokens).toEqual([expected([7], 1)]);
  });

  it("is its caller's leaving: at once where it waits, within a step where it runs, without the others", async () => {
    const { session, engine } = makeEngine({ slots: 2 });
    const { waiting, pass } = closeGate(session);
    const reason = new Error("the caller left");
    const [first, third] = [new AbortController(), new AbortController()];
    const one = writeText(engine, range(4), { signal: first.signal });
    const two = writeText(engine, range(4, 9), { maxTokens: 3 });
    const three = writeText(engine, range(4, 20), { signal: third.signal });
    await pass();
    await pass();
    while (waiting.length === 0) await turn();
    expect(session.runs.at(-1)).toEqual({ texts: 2, tokens: 1 });
    third.abort(reason);
    await expect(three).rejects.toBe(reason);
    first.abort(reason);
    await expect(one).rejects.toBe(reason);
    for (let step = 0; step < 2; step += 1) await pass();
    expect((await two).tokens[0]).toEqual(expected(range(4, 9), 3));
    expect(session.runs.at(-1)).toEqual({ texts: 1, tokens: 1 });
    await expect(writeText(engine, [1], { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });

  it("is its caller's leaving, also in the middle of a run that nobody else waits for", async () => {
    const { session, engine } = makeEngine();
    const controller = new AbortController();
    const aborted = vi.fn();
    const bind = session.bind.bind(session);
    session.bind = (binding) => {
      const bound = bind(binding);
      const run: typeof bound.run = (feeds, options) => {
        options?.signal?.addEventListener("abort", aborted);
        return bound.run(feeds, options);
      };
      return { ...bound, run };
    };
    const { waiting, open } = closeGate(session);
    const written = writeText(engine, range(9), { signal: controller.signal });
    while (waiting.length === 0) await turn();
    controller.abort(new Error("the caller left"));
    await expect(written).rejects.toThrow("the caller left");
    expect(aborted).toHaveBeenCalledOnce();
    open();
    expect((await writeText(engine, range(9))).tokens[0]).toEqual(expected(range(9), 16));
  });

  it("is what its caller's handler throws, and nobody else's", async () => {
    const { engine } = makeEngine();
    const thrown = new Error("a handler threw");
    const faulty = writeText(engine, range(5), {
      choices: 3,
      onToken: (choice) => {
        if (choice === 2) throw thrown;
        return true;
      },
    });
    const other = writeText(engine, range(5, 8));
    await expect(faulty).rejects.toBe(thrown);
    expect((await other).tokens[0]).toEqual(expected(range(5, 8), 16));
  });
});

describe("what fails", () => {
  it("takes those in its run with it, and the engine goes on", async () => {
    const { session, engine } = makeEngine({ slots: 3, stepTokensMax: 4 });
    const { pass, open } = closeGate(session);
    const fault = new Error("a run failed");
    const [one, two] = [writeText(engine, range(4)), writeText(engine, range(9, 9))];
    const three = writeText(engine, range(7, 20));
    await pass();
    // A token of the first text and a piece of the second's prompt.
    const failing = Promise.allSettled([one, two]);
    await pass(fault);
    const rejected = { status: "rejected", reason: fault };
    expect(await failing).toEqual([rejected, rejected]);
    open();
    expect((await three).tokens[0]).toEqual(expected(range(7, 20), 16));
    expect((await writeText(engine, range(4))).tokens[0]).toEqual(expected(range(4), 16));
  });

  it("is everything where the device is at fault", async () => {
    const { session, engine } = makeEngine({ slots: 2, stepTokensMax: 4 });
    const fault = await faultOfDevice();
    const { pass } = closeGate(session);
    const writing = [range(4), range(9), range(30)].map((prompt) => writeText(engine, prompt));
    const settled = Promise.allSettled(writing);
    await pass();
    await pass(fault);
    expect(await settled).toEqual(writing.map(() => ({ status: "rejected", reason: fault })));
    expect(engine.backlog()).toEqual(new Map());
  });

  it("is one text alone whose probabilities are none", async () => {
    const { session, engine } = makeEngine();
    session.bend = (tokens, logits) => (tokens[0] === 3 ? logits.fill(NaN) : logits);
    const [broken, whole] = await Promise.allSettled([
      writeText(engine, range(5, 3)),
      writeText(engine, range(5)),
    ]);
    expect(broken).toMatchObject({
      status: "rejected",
      reason: { code: "internal_error", message: expect.stringContaining("a logit is NaN") },
    });
    expect(whole).toMatchObject({ value: { tokens: [expected(range(5), 16)] } });
  });

  it("is all there is, with the memory, when the engine is released", async () => {
    const { session, engine } = makeEngine({ slots: 1 });
    const reason = new Error("the model is unloaded");
    const writing = [writeText(engine, range(5)), writeText(engine, range(5))];
    const settled = Promise.allSettled(writing);
    for (let turns = 0; turns < 10; turns += 1) await turn();
    await engine.release(reason);
    expect(await settled).toEqual(writing.map(() => ({ status: "rejected", reason })));
    expect(session.values.size).toBe(0);
  });
});

describe("memory", () => {
  it("is given back when there is nothing to do for a while", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { session, engine } = makeEngine({ idleMsMax: 5_000 });
      expect(session.values.size).toBe(0);
      await writeText(engine, range(9), { tenant: "a" });
      await vi.advanceTimersByTimeAsync(4_000);
      const again = await writeText(engine, range(9), { tenant: "a" });
      await vi.advanceTimersByTimeAsync(4_000);
      expect([again.cachedTokens, session.values.size]).toEqual([8, 3]);
      await vi.advanceTimersByTimeAsync(2_000);
      expect(session.values.size).toBe(0);
      const later = await writeText(engine, range(9), { tenant: "a" });
      expect([later.cachedTokens, later.tokens[0]]).toEqual([0, expected(range(9), 16)]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("of a GPU stays, where what is captured lies", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const { session, engine } = makeEngine({ idleMsMax: 5_000 }, 128, { provider: "cuda" });
      await writeText(engine, range(9), { tenant: "a" });
      await vi.advanceTimersByTimeAsync(6_000);
      expect(session.values.size).toBe(3);
      await engine.release(new Error("over"));
      expect(session.values.size).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it("holds no more tokens than it has room for, kept ones included", async () => {
    const memoryTokens = 128;
    const { session, engine } = makeEngine({ slots: 8, memoryBytes: memoryTokens * bytesPerToken });
    let most = 0;
    session.gate = async () => {
      most = Math.max(most, session.heldTokens);
    };
    for (let at = 0; at < 20; at += 1) {
      await writeText(engine, range(20 + at, at), { tenant: "a", maxTokens: 10 });
    }
    expect(most).toBeGreaterThan(memoryTokens / 2);
    expect(most).toBeLessThanOrEqual(memoryTokens);
  });
});

describe("tenants", () => {
  it("share the engine, whatever each asks for", async () => {
    const { engine } = makeEngine({ slots: 2, shareTokens: 16 });
    const order: string[] = [];
    const write = async (tenant: string) => {
      await writeText(engine, range(16), { tenant, maxTokens: 4 });
      order.push(tenant);
    };
    const many = Array.from({ length: 100 }, () => write("many"));
    await turn();
    await Promise.all([...many, write("few"), write("few")]);
    expect(order.lastIndexOf("few")).toBeLessThan(12);
  });

  it("get slots of one that holds them all, which writes on what it would have written", async () => {
    const { engine } = makeEngine({ slots: 2 });
    const order: string[] = [];
    const write = async (tenant: string, from: number, maxTokens: number) => {
      const { tokens } = await writeText(engine, range(9, from), { tenant, maxTokens });
      order.push(tenant);
      expect(tokens[0]).toEqual(expected(range(9, from), maxTokens));
    };
    const long = [write("many", 0, 100), write("many", 1, 100), write("many", 2, 100)];
    for (let at = 0; at < 40; at += 1) await turn();
    await Promise.all([...long, write("few", 3, 4), write("few", 4, 4)]);
    expect(order).toEqual(["few", "few", "many", "many", "many"]);
  });

  it("that come anew are served before what another has in its slots", async () => {
    const scheduler = new SlotScheduler();
    const { engine } = makeEngine({ slots: 4, stepTokensMax: 4 }, 128, { scheduler });
    const writing = range(8).map((from) =>
      writeText(engine, range(100, from), { tenant: "many", maxTokens: 2 }),
    );
    for (let at = 0; at < 20; at += 1) {
      await turn();
      const front = engine.front();
      if (front === null) continue;
      expect(scheduler.fairQueueing.next("new")).toBeLessThanOrEqual(front.startTag);
    }
    await Promise.all(writing);
  });

  it("are told apart in what waits", async () => {
    const { engine } = makeEngine();
    const writing = [
      writeText(engine, range(9), { tenant: "a" }),
      writeText(engine, range(5), { tenant: "a" }),
      writeText(engine, range(7), { tenant: "b" }),
    ];
    expect(engine.backlog()).toEqual(
      new Map([
        ["a", 14],
        ["b", 7],
      ]),
    );
    await Promise.all(writing);
    expect(engine.backlog()).toEqual(new Map());
  });
});
