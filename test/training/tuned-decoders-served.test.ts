/** Decoders tuned by adapters, served from their folders: side by side on their base, which is in two files. */
import { rm } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { DecoderLoraSession } from "../../gpu-worker/graphs/decoder-lora-session.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { writeInShards } from "../catalog/tiny-decoder.ts";
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

async function teach(name: keyof typeof taught): Promise<void> {
  const chats = asked.map((content, at) => ({
    messages: [
      { role: "user", content },
      { role: "assistant", content: taught[name][at] },
    ],
  }));
  const data = await writeLines(path.join(bench.folder, `${name}.jsonl`), chats);
  const command = { model: "tiny", data, validation: data, out: bench.local(name) };
  const learning = { strategy: "lora", epochs: 60, batch: 4, learningRate: 3e-2 } as const;
  await tune(bench, { ...command, ...learning });
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

/** How many different adapters each run had. */
async function watchRuns(catalog: Catalog, id: string): Promise<number[]> {
  const { session } = await catalog.acquire(id, never);
  if (!(session instanceof DecoderLoraSession)) throw new Error(`${id} is no adapter`);
  const { stacks } = session;
  const counts: number[] = [];
  const run = stacks.run.bind(stacks);
  vi.spyOn(stacks, "run").mockImplementation((adapters, compute) => {
    counts.push(new Set(Array.from(adapters?.data ?? [], Number)).size);
    return run(adapters, compute);
  });
  return counts;
}

it("answer what each was taught, in one batch, which their base does not", async () => {
  await teach("one");
  await teach("two");
  const catalog = await bench.open();
  for (const id of ["one", "two"]) {
    expect(stateOf(catalog, id)).toMatchObject({
      status: "available",
      tasks: expect.arrayContaining(["chat-completion"]),
    });
  }
  const base = await answersOf(catalog, "tiny");
  const runs = await watchRuns(catalog, "one");
  const [one, two, beside] = await Promise.all(
    ["one", "two", "tiny"].map((id) => answersOf(catalog, id)),
  );
  expect(one).toEqual(taught.one);
  expect(two).toEqual(taught.two);
  expect(Math.max(...runs)).toBe(2);
  expect(beside).toEqual(base);
  for (const [at, answer] of base.entries()) {
    expect([taught.one[at], taught.two[at]]).not.toContain(answer);
  }
}, 60_000);
