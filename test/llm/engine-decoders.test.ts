/**
 * The engine on real decoders: tiny ones of every family, and SmolLM2 where it is. A text's greedy tokens beside
 * others, from kept prefixes and after it lost its slot are those that it gets alone, except where two tokens are so
 * close that the order of sums decides.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { randomFrom } from "../../contract/random.ts";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { SlotScheduler } from "../../gpu-worker/batching/slot-scheduler.ts";
import { fewestRows } from "../../gpu-worker/compute-form/fewest-rows.ts";
import { Engine } from "../../gpu-worker/llm/engine.ts";
import type { EngineLimits, EngineModel } from "../../gpu-worker/llm/engine-limits.ts";
import { openLogitBlocks } from "../../gpu-worker/graphs/open-logit-blocks.ts";
import { bytesPerToken } from "../../gpu-worker/llm/key-value-slots.ts";
import type { TokenConstraint } from "../../gpu-worker/model/token-constraint.ts";
import { writeModel } from "../../gpu-worker/onnx/write-model.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import { openGgufCheckpoint } from "../../gpu-worker/weights/gguf-checkpoint.ts";
import { sharedFolder } from "../catalog/shared-folder.ts";
import { tinyDecoder } from "../runtime/tiny-decoder.ts";
import { type WriteOptions, writeText, type Written } from "./write-text.ts";

/** Of the two likeliest tokens' log probabilities: closer ones may change places. */
const closeGap = 1e-3;

let runtime: Runtime;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
});

function engineOn(
  session: LoadedSession,
  maxTokens: number,
  limits: Partial<EngineLimits> = {},
  more: Partial<Pick<EngineModel, "rowsMin" | "logitBlocks">> = {},
) {
  const width = session.outputs.find(({ name }) => name === "logits")?.shape[1];
  const vocabularySize = Number(width);
  return new Engine(
    {
      id: "decoder",
      session,
      limits: { maxTokens, dimensions: null, vocabularySize },
      rowsMin: 1,
      ...more,
    },
    { scheduler: new SlotScheduler(), now: () => performance.now(), limits },
  );
}

type Request = { prompt: number[]; options: WriteOptions };

/** Each by itself, in an engine of its own that keeps nothing. */
async function alone(session: LoadedSession, maxTokens: number, requests: readonly Request[]) {
  const written: Written[] = [];
  for (const { prompt, options } of requests) {
    const engine = engineOn(session, maxTokens, { slots: 1, stepTokensMax: maxTokens });
    written.push(await writeText(engine, prompt, { ...options, sampling: { topLogprobs: 2 } }));
    await engine.release(new Error("over"));
  }
  return written;
}

/** How many texts went another way than alone where two tokens were close; more fails. */
function countClose(together: readonly Written[], solo: readonly Written[]): number {
  let close = 0;
  for (const [at, { tokens }] of together.entries()) {
    const own = solo[at]?.tokens[0] ?? [];
    for (const choice of tokens) {
      const parting = choice.findIndex((token, place) => token !== own[place]);
      if (parting === -1) {
        expect(choice).toEqual(own);
        continue;
      }
      const [first, second] = solo[at]?.scores[0]?.[parting]?.topLogprobs ?? [];
      expect((first?.logprob ?? NaN) - (second?.logprob ?? NaN)).toBeLessThan(closeGap);
      close += 1;
    }
  }
  return close;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** All of them in one engine, arriving as they come. */
async function writeAll(engine: Engine, requests: readonly Request[], random: () => number) {
  const open: Promise<Written>[] = [];
  for (const { prompt, options } of requests) {
    open.push(writeText(engine, prompt, options));
    for (let turns = Math.floor(random() * 6); turns > 0; turns -= 1) await turn();
  }
  return Promise.all(open);
}

/** Of every four of these tokens, the last three come by themselves. */
function forces(tokens: readonly number[]): TokenConstraint {
  let made = 0;
  return {
    next: () => {
      const forced = made % 4 === 1 ? tokens.slice(made, made + 3) : [];
      return { allowed: null, forced, closing: [] };
    },
    accept: (accepted) => {
      made += accepted.length;
    },
    takeBack: (count) => {
      made -= count;
    },
    [Symbol.dispose]: () => undefined,
  };
}

describe("tiny decoders", () => {
  it.each([
    ["llama-yarn", 0],
    ["gemma3-old-form", 1],
    ["mistral-window-old-form", 2],
    ["qwen2-upper-layers-slide", 3],
    ["qwen3-yarn-tied-bf16", 4],
  ] as const)("%s writes beside others what it writes alone", async (name, seed) => {
    const [positions, random] = [64, randomFrom(seed)];
    const below = (bound: number) => Math.floor(random() * bound);
    const session = await runtime.load(
      { bytes: await tinyDecoder(name, positions) },
      { threads: 1, provider: "cpu" },
    );
    const beginning = Array.from({ length: 12 }, () => below(40));
    const requests = Array.from({ length: 24 }, (_, at) => ({
      prompt: [
        ...(at % 3 === 0 ? beginning : []),
        ...Array.from({ length: 1 + below(16) }, () => below(40)),
      ],
      options: { maxTokens: 1 + below(32), choices: 1 + (at % 2), tenant: `${at % 2}` },
    }));
    const solo = await alone(
      session,
      positions,
      requests.map(({ prompt, options }) => ({ prompt, options: { ...options, choices: 1 } })),
    );
    const memoryBytes = 192 * bytesPerToken(session);
    let [close, cached] = [0, 0];
    for (const [limits, rowsMin] of [
      [{ slots: 8 }, 1],
      [{ slots: 5, memoryBytes, guessesRepeatable: true }, 2],
      [{ slots: 3, stepTokensMax: 8, guessesRepeatable: true }, 2],
    ] as const) {
      const engine = engineOn(session, positions, limits, { rowsMin });
      const written = await writeAll(engine, requests, random);
      close += countClose(written, solo);
      cached += written.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
      await engine.release(new Error("over"));
    }
    await session.release();
    expect(cached).toBeGreaterThan(20);
    console.info(`${name}: ${close} of 108 texts parted at a gap below ${closeGap}`);
    expect(close).toBeLessThan(5);
  });

  it.each([1, 0.8])("draws the same tokens for a seed alone and beside others", async (topP) => {
    const bytes = await tinyDecoder("llama-yarn", 64);
    const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
    const logitBlocks = await openLogitBlocks(session, runtime);
    if (logitBlocks === null) throw new Error("it is on the CPU");
    const engine = engineOn(session, 64, {}, { logitBlocks });
    const draw = (seed: number) =>
      writeText(engine, [5, 6, 7], {
        sampling: { temperature: 1, topP, seed },
        maxTokens: 20,
        choices: 2,
      });
    const solo = [];
    for (const seed of [1, 2, 3, 4, 5, 6]) solo.push((await draw(seed)).tokens);
    const beside = await Promise.all([1, 2, 3, 4, 5, 6].map(draw));
    expect(beside.map(({ tokens }) => tokens)).toEqual(solo);
    expect(new Set(solo.flat().map(String)).size).toBe(12);
    await engine.release(new Error("over"));
    await Promise.all([session.release(), logitBlocks.release()]);
  });

  it("gives a text the same numbers to the bit, its prompt read whole, in pieces, or found", async () => {
    const bytes = await tinyDecoder("llama-yarn", 64);
    const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
    const prompt = Array.from({ length: 17 }, (_, at) => (at * 7) % 40);
    const options = { tenant: "one", maxTokens: 20, sampling: { topLogprobs: 2 } };
    const whole = engineOn(session, 64, { slots: 2, stepTokensMax: 64 });
    // Sixteen, and the last by itself.
    const pieces = engineOn(session, 64, { slots: 2, stepTokensMax: 8 });
    const first = await writeText(whole, prompt, options);
    const found = await writeText(whole, prompt, options);
    const inPieces = await writeText(pieces, prompt, options);
    expect([first.cachedTokens, found.cachedTokens, inPieces.cachedTokens]).toEqual([0, 16, 0]);
    expect(found.scores).toEqual(first.scores);
    expect(inPieces.scores).toEqual(first.scores);
    for (const engine of [whole, pieces]) await engine.release(new Error("over"));
    await session.release();
  });

  it("goes on from tokens that are forced as from its own, beside others and with log probabilities", async () => {
    const bytes = await tinyDecoder("llama-yarn", 64);
    const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
    const engine = engineOn(session, 64, { slots: 4 });
    const write = (from: number, options: WriteOptions) =>
      writeText(engine, [from, 6, 7], { maxTokens: 24, ...options });
    for (const sampling of [{}, { topLogprobs: 2 }]) {
      const solo: Written[] = [];
      for (const from of [5, 9, 13]) solo.push(await write(from, { sampling }));
      const forced = solo.map(({ tokens }, at) =>
        write(5 + 4 * at, { sampling, constraint: () => forces(tokens[0] ?? []) }),
      );
      for (const [at, { scores }] of (await Promise.all(forced)).entries()) {
        const own = solo[at]?.scores[0] ?? [];
        expect(scores[0]?.map(({ token }) => token)).toEqual(own.map(({ token }) => token));
        expect(scores[0]?.filter((score) => score.forced)).toHaveLength(18);
        const apart = own.map(({ logprob }, place) => {
          return (scores[0]?.[place]?.logprob ?? 0) - (logprob ?? 0);
        });
        expect(Math.max(...apart.map(Math.abs))).toBeLessThan(1e-4);
      }
    }
    await engine.release(new Error("over"));
    await session.release();
  });

  it("tells what it thinks of the prompt's own tokens, as of those that it writes", async () => {
    const bytes = await tinyDecoder("qwen3-yarn-tied-bf16", 64);
    const session = await runtime.load({ bytes }, { threads: 1, provider: "cpu" });
    const engine = engineOn(session, 64);
    const first = await writeText(engine, [3, 1, 4], {
      maxTokens: 40,
      sampling: { topLogprobs: 3 },
    });
    const prompt = [3, 1, 4, ...(first.tokens[0] ?? [])];
    const second = await writeText(engine, prompt, {
      maxTokens: 1,
      promptLogprobs: true,
      sampling: { topLogprobs: 3 },
    });
    expect([second.cachedTokens, second.prompt?.length]).toEqual([0, prompt.length]);
    expect(second.prompt?.[0]).toBeNull();
    for (const [at, score] of (first.scores[0] ?? []).entries()) {
      const again = second.prompt?.[at + 3];
      expect(again?.token).toBe(score.token);
      expect(again?.logprob).toBeCloseTo(score.logprob ?? NaN, 4);
      expect(again?.topLogprobs.map(({ token }) => token)).toEqual(
        score.topLogprobs.map(({ token }) => token),
      );
    }
    await engine.release(new Error("over"));
    await session.release();
  });
});

type Chat = { input_ids: number[]; greedy_ids: number[] };

describe.skipIf(sharedFolder === null)("SmolLM2", () => {
  const models = path.join(sharedFolder ?? "", "models");
  const scratch = mkdtempSync(path.join(tmpdir(), "llm-os-engine-"));
  let session: LoadedSession;
  let chats: Chat[] = [];
  const positions = 1_024;

  async function load(form: DecoderForm): Promise<LoadedSession> {
    const gguf = path.join(models, "SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    const { config, weights } = openGgufCheckpoint(gguf);
    const graph = path.join(scratch, `${form}.onnx`);
    await writeModel(buildDecoder(config, weights, { positions, form }), graph);
    weights.close();
    return runtime.load({ path: graph }, { threads: 2, provider: "cpu" });
  }

  beforeAll(async () => {
    session = await load("f32");
    const references = path.join(models, "references/smollm2-logits.json");
    chats = JSON.parse(readFileSync(references, "utf8"));
  });

  afterAll(async () => {
    await session?.release();
    rmSync(scratch, { recursive: true });
  });

  it("writes PyTorch's greedy tokens for all chats at once, in pieces and from kept prefixes", async () => {
    const engine = engineOn(session, positions, { slots: 6, stepTokensMax: 24 });
    for (const round of [0, 1]) {
      const written = await Promise.all(
        chats.map(({ input_ids: prompt, greedy_ids: { length: maxTokens } }) =>
          writeText(engine, prompt, { maxTokens, choices: 1 + round, tenant: "one" }),
        ),
      );
      for (const [at, { tokens, cachedTokens }] of written.entries()) {
        for (const choice of tokens) expect(choice).toEqual(chats[at]?.greedy_ids);
        if (round === 1) expect(cachedTokens).toBe((chats[at]?.input_ids.length ?? 0) - 1);
      }
    }
    await engine.release(new Error("over"));
  });

  it.each(["int8", "int8-rotated", "int4"] as const)(
    "writes in %s beside others what it writes alone",
    async (form) => {
      const rounded = await load(form);
      const rowsMin = await fewestRows(rounded, form, new AbortController().signal);
      const lone = engineOn(rounded, positions, { slots: 1, stepTokensMax: 64 }, { rowsMin });
      const engine = engineOn(rounded, positions, { slots: 4, stepTokensMax: 24 }, { rowsMin });
      const options = { maxTokens: 32, sampling: { topLogprobs: 2 } };
      const solo: Written[] = [];
      for (const { input_ids: prompt } of chats) solo.push(await writeText(lone, prompt, options));
      const beside = chats.map(({ input_ids: prompt }) => writeText(engine, prompt, options));
      expect(await Promise.all(beside)).toEqual(solo);
      for (const each of [lone, engine]) await each.release(new Error("over"));
      await rounded.release();
    },
  );
});
