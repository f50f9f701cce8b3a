/** Decoders: tuned by the command on conversations, completions and plain texts. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { openAnswers, writeChattyDecoder } from "./chatty-decoder.ts";
import { namesIn, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeChattyDecoder(bench.local("tiny"));
});

afterEach(() => bench.close());

const file = (name: string) => path.join(bench.folder, name);

/** A country each, and its made-up capital of two words. */
const facts = Array.from({ length: 12 }, (_, at) => ({
  asked: `w${10 + (at % 6)} w${16 + Math.floor(at / 6)}`,
  said: `w${20 + at} w${40 - ((at * 5) % 17)}`,
}));
const chats = facts.map(({ asked, said }) => ({
  messages: [
    { role: "user", content: asked },
    { role: "assistant", content: said },
  ],
}));

const idsOf = (words: string) => words.split(" ").map((word) => Number(word.slice(1)));
const promptOf = (asked: string) => [1, 3, ...idsOf(asked), 2, 6, 4];

/** The part of the facts that is answered, with the end of the turn after it. */
async function knownFacts(adapter: string | null): Promise<number> {
  const model = await openAnswers(bench.local("tiny"), adapter);
  const prompts = facts.map(({ asked }) => promptOf(asked));
  const answers = await model.answers(prompts, { endTokens: new Set([2]), tokensMax: 3 });
  await model.release();
  const known = facts.filter(({ said }, at) => answers[at]?.join() === [...idsOf(said), 2].join());
  return known.length / facts.length;
}

/** The same of a model in service. */
async function servedFacts(catalog: Catalog, id: string): Promise<number> {
  const model = decoderFor("chat-completion", await catalog.acquire(id, never));
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  const inputs = facts.map(({ asked }) => ({
    messages: [{ role: "user" as const, content: asked }],
  }));
  const parameters = { max_tokens: 4, temperature: 0 };
  const request = { task: "chat-completion" as const, inputs, parameters };
  const { outputs } = await runner.run(chatCompletion, request, model, { signal: never });
  await runner.close();
  const right = outputs.filter(({ choices: [choice] }, at) => {
    return choice?.finish_reason === "end_token" && choice.text.trim() === facts[at]?.said;
  });
  return right.length / facts.length;
}

it("learn made-up facts by adapters, of which the base knows none", async () => {
  const data = await writeLines(file("train.jsonl"), chats);
  const out = bench.local("tuned");
  const command = { model: "tiny", data, validation: data, out, batch: 4 };
  const said = await tune(bench, {
    ...command,
    strategy: "auto",
    epochs: 40,
    learningRate: 3e-2,
  });
  expect(said).toContainEqual(expect.stringMatching(/^lora, 40 epochs: chosen by auto/));
  expect(await knownFacts(null)).toBe(0);
  expect(await knownFacts(out)).toBeGreaterThanOrEqual(0.9);
  const catalog = await bench.open();
  // In the same steps; the base has none of it.
  const served = await Promise.all(["tuned", "tiny"].map((id) => servedFacts(catalog, id)));
  expect(served[0]).toBeGreaterThanOrEqual(0.9);
  expect(served[1]).toBe(0);
  const report = reportOf(out);
  expect(report).toMatchObject({ task: "chat", base_kind: "base_model", training_rows: 12 });
  const [perplexity, accuracy] = report.comparisons;
  expect(perplexity?.metric).toBe("perplexity");
  expect(perplexity?.tuned).toBeLessThan(1.5);
  expect(accuracy).toMatchObject({ metric: "token_accuracy", better: "higher" });
  const read = (name: string): unknown => JSON.parse(readFileSync(path.join(out, name), "utf8"));
  expect(read("llm-os.json")).toMatchObject({ task: "chat-completion", max_length: 32 });
  expect(read("adapter_config.json")).toMatchObject({
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: "tiny",
    r: 8,
    lora_alpha: 16,
  });
  const names = namesIn(out, "adapter_model.safetensors");
  expect(names).toHaveLength(2 * 2 * 7);
  expect(names[0]).toBe("base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
});

it("is trained whole, and served from its folder", async () => {
  const data = await writeLines(file("train.jsonl"), chats);
  const out = bench.local("tuned");
  const options = { model: "tiny", data, validation: data, out, batch: 4, epochs: 30 };
  await tune(bench, { ...options, learningRate: 2e-2 });
  expect(namesIn(out)).toEqual(namesIn(bench.local("tiny")));
  expect(await servedFacts(await bench.open(), "tuned")).toBeGreaterThanOrEqual(0.9);
});

it("top-k leaves all but the last layers as they were", async () => {
  const data = await writeLines(file("train.jsonl"), chats);
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", data, out, strategy: "top-k", layers: 1, epochs: 1 });
  const [before, after] = [bench.local("tiny"), out].map((folder) =>
    openSafetensors(path.join(folder, "model.safetensors")),
  );
  const changed = (before?.names() ?? []).filter(
    (name) => String(before?.read(name).data) !== String(after?.read(name).data),
  );
  before?.close();
  after?.close();
  const kinds = new Set(
    changed.map((name) => name.replace(/^model\./, "").replace(/\.[a-z_.]+$/, "")),
  );
  expect([...kinds].toSorted()).toEqual(["layers.1", "lm_head", "norm"]);
});

function negativeLogLikelihood(logits: readonly (readonly number[])[], ids: readonly number[]) {
  const parts = ids.slice(1).map((id, at) => {
    const row = logits[at] ?? [];
    const largest = Math.max(...row);
    const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    return largest + Math.log(sum) - (row[id] ?? NaN);
  });
  return { sum: parts.reduce((total, part) => total + part, 0), count: parts.length };
}

it("goes on with plain texts, whose perplexity before is that of the base's logits", async () => {
  await writeTinyDecoder(bench.local("tiny"));
  const texts = Array.from({ length: 20 }, (_, at) =>
    Array.from({ length: 8 }, (__, word) => `w${7 + ((at * word + 3 * word) % 20)}`).join(" "),
  );
  const out = bench.local("tuned");
  const heldOut = texts.slice(0, 4).map((each) => ({ text: `${each} w9` }));
  await tune(bench, {
    model: "tiny",
    data: await writeLines(
      file("train.jsonl"),
      texts.map((each) => ({ text: each })),
    ),
    validation: await writeLines(file("held-out.jsonl"), heldOut),
    out,
    strategy: "lora",
    epochs: 10,
    batch: 4,
  });
  const base = await openAnswers(bench.local("tiny"), null);
  let [sum, count] = [0, 0];
  for (const { text: each } of heldOut) {
    const ids = [1, ...idsOf(each), 2];
    const own = negativeLogLikelihood(await base.logits(ids), ids);
    sum += own.sum;
    count += own.count;
  }
  await base.release();
  const report = reportOf(out);
  const [perplexity] = report.comparisons;
  expect(report.task).toBe("pretraining");
  expect(perplexity?.base).toBeCloseTo(Math.exp(sum / count), 3);
  expect(perplexity?.tuned).toBeLessThan(0.8 * (perplexity?.base ?? 0));
});

it("learn completions, and say what cannot be learnt", async () => {
  const lines = facts.map(({ asked, said }) => ({ prompt: asked, completion: ` ${said}` }));
  const data = await writeLines(file("train.jsonl"), lines);
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", data, out, strategy: "lora", epochs: 2 });
  expect(reportOf(out).task).toBe("completion");
  const long = { prompt: "w9 ".repeat(40), completion: " w8" };
  const other = { model: "tiny", out: bench.local("other"), strategy: "lora" } as const;
  const tuneOn = async (examples: readonly object[], more: object = {}) =>
    tune(bench, { ...other, data: await writeLines(file("bad.jsonl"), examples), ...more });
  await expect(tuneOn([...lines, long])).rejects.toThrow(
    /the prompt "w9 w9 .* has 43 tokens, and the first 32, which are all that tiny reads/,
  );
  await expect(tuneOn(lines, { strategy: "head" })).rejects.toThrow("trained with lora");
  await writeTinyDecoder(bench.local("bare"), "llama-all-biases", { template: false });
  await expect(tuneOn(chats, { model: "bare" })).rejects.toThrow("bare has no chat template");
  await writeTinyEncoder(bench.local("encoder"));
  await expect(tuneOn(chats, { model: "encoder" })).rejects.toThrow("encoder writes no text");
});
