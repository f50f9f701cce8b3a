/**
 * Decoders tuned by adapters and by soft prompts, served from their folders: side by side on their base, which is in
 * two files.
 */
import { rm } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { DecoderLoraSession } from "../../gpu-worker/graphs/decoder-lora-session.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { textGeneration } from "../../gpu-worker/pipelines/text-generation.ts";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { writeInShards } from "../catalog/tiny-decoder.ts";
import { watchSteps } from "../llm/watch-steps.ts";
import { writeChattyDecoder } from "./chatty-decoder.ts";
import { tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;
let runner: TaskRunner;

beforeEach(async () => {
  bench = await openCatalogBench();
  runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  const base = bench.local("tiny");
  await writeChattyDecoder(base);
  await writeInShards(base, base);
  await rm(path.join(base, "model.safetensors"));
});

afterEach(async () => {
  await runner.close();
  await bench.close();
});

/** Asked alike of all; each tune is taught other answers. */
const asked = Array.from({ length: 10 }, (_, at) => `w${10 + at}`);
const taught = {
  one: asked.map((_, at) => `w${20 + at} w${40 - at}`),
  two: asked.map((_, at) => `w${30 - at} w${18 + ((at * 7) % 10)}`),
};

/** The two, and their base. */
const ids = ["one", "two", "tiny"];

type Learning = Pick<TuneCommand, "strategy"> & Partial<TuneCommand>;

async function teach(name: string, said: readonly string[], learning: Learning): Promise<void> {
  const chats = asked.map((content, at) => ({
    messages: [
      { role: "user", content },
      { role: "assistant", content: said[at] ?? "" },
    ],
  }));
  const file = (of: string) => path.join(bench.folder, `${name}-${of}.jsonl`);
  const data = await writeLines(file("train"), [...chats, ...chats, ...chats, ...chats]);
  const validation = await writeLines(file("held-out"), chats);
  await tune(bench, { model: "tiny", data, validation, out: bench.local(name), ...learning });
}

/** The likeliest answer to each question. */
async function answersOf(catalog: Catalog, id: string): Promise<string[]> {
  const { model, release } = await catalog.lease(id, never);
  const inputs = asked.map((content) => ({ messages: [{ role: "user" as const, content }] }));
  const parameters = { max_tokens: 4, temperature: 0 };
  const request = { task: "chat-completion" as const, inputs, parameters };
  try {
    const decoder = decoderFor("chat-completion", model);
    const { outputs } = await runner.run(chatCompletion, request, decoder, { signal: never });
    return outputs.map(({ choices: [choice] }) => choice?.text.trim() ?? "");
  } finally {
    release();
  }
}

/** How many different adapters each run had; 0 stands in rows of no text. */
async function watchRuns(catalog: Catalog, id: string): Promise<number[]> {
  const { session } = await catalog.acquire(id, never);
  if (!(session instanceof DecoderLoraSession)) throw new Error(`${id} is no adapter`);
  const { stacks } = session;
  const counts: number[] = [];
  const run = stacks.run.bind(stacks);
  vi.spyOn(stacks, "run").mockImplementation((adapters, compute) => {
    counts.push(new Set(Array.from(adapters?.data ?? [], Number).filter((at) => at > 0)).size);
    return run(adapters, compute);
  });
  return counts;
}

it("answer what each was taught, in one batch, which their base does not", async () => {
  const learning = { strategy: "lora", epochs: 15, batch: 4, learningRate: 3e-2 } as const;
  await teach("one", taught.one, learning);
  await teach("two", taught.two, learning);
  const catalog = await bench.open();
  for (const id of ["one", "two"]) {
    expect(stateOf(catalog, id)).toMatchObject({
      status: "available",
      tasks: expect.arrayContaining(["chat-completion"]),
    });
  }
  const base = await answersOf(catalog, "tiny");
  expect(await answersOf(catalog, "one")).toEqual(taught.one);
  expect(await answersOf(catalog, "two")).toEqual(taught.two);
  const alone = [];
  for (const [at, id] of ids.entries()) alone.push(await repliesOf(catalog, id, at));
  const runs = await watchRuns(catalog, "one");
  const together = await Promise.all(ids.map((id, at) => repliesOf(catalog, id, at)));
  expect(Math.max(...runs)).toBe(2);
  expect(together).toEqual(alone);
  for (const [at, answer] of base.entries()) {
    expect([taught.one[at], taught.two[at]]).not.toContain(answer);
  }
});

/**
 * The same, as token ids of what the template makes of them, so that all are there at once, and gone on with.
 * @param seed changes no answer, and tells whose a text is
 */
async function repliesOf(catalog: Catalog, id: string, seed: number): Promise<string[]> {
  const own = decoderFor("text-generation", await catalog.acquire(id, never));
  const model = { ...own, endTokens: new Set<number>() };
  const inputs = asked.map((_, at) => [1, 3, 10 + at, 2, 6, 4]);
  const parameters = { max_tokens: 14, temperature: 0, seed };
  const request = { task: "text-generation" as const, inputs, parameters };
  const { outputs } = await runner.run(textGeneration, request, model, { signal: never });
  return outputs.map(({ choices: [choice] }) => choice?.text.trim() ?? "");
}

it("answer by their soft prompts, in one batch with their base", async () => {
  // As much as so few numbers learn of a model whose weights are random, and stay.
  const said = { one: asked.map(() => "w20 w40"), two: asked.map(() => "w30 w18") };
  const learning = { strategy: "soft-prompt", epochs: 12, batch: 8, learningRate: 0.3 } as const;
  const initialTexts = { one: null, two: "w7 w30 w18 w9 w31 w25 w11 w12" };
  for (const name of ["one", "two"] as const) {
    const softPrompt = { virtualTokens: 12, initialText: initialTexts[name] };
    await teach(name, said[name], { ...learning, softPrompt });
  }
  const catalog = await bench.open();
  const alone = [];
  for (const [at, id] of ids.entries()) alone.push(await repliesOf(catalog, id, at));
  const steps = watchSteps();
  const together = await Promise.all(ids.map((id, at) => repliesOf(catalog, id, at)));
  steps.stop();
  expect(Math.max(...steps.seeds.map(({ size }) => size))).toBeGreaterThan(1);
  expect(together).toEqual(alone);
  const begun = together.map((answers) => answers.map((text) => text.slice(0, "w20 w40".length)));
  expect(begun.slice(0, 2)).toEqual([said.one, said.two]);
  for (const answer of begun[2] ?? []) expect([said.one[0], said.two[0]]).not.toContain(answer);
  expect(await answersOf(catalog, "two")).toEqual(said.two);
});
