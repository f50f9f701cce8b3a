/**
 * What `export` writes of models that write runs by itself, and writes the tokens that PEFT and transformers write
 * (test/checkpoints/peft-prompts, peft-decoders), and those that the service writes of a conversation in f32.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, symlink } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { runExport } from "../../gpu-worker/cli/export-model.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { decoderFor } from "../../gpu-worker/model/served-model.ts";
import { chatCompletion } from "../../gpu-worker/pipelines/chat-completion.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeDecoderAdapter } from "../catalog/decoder-adapter.ts";
import { writeInShards, writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { writeChattyDecoder } from "../training/chatty-decoder.ts";

const root = path.resolve(import.meta.dirname, "../..");
const checkpoints = path.join(root, "test/checkpoints");
const Expected = z.record(
  z.string(),
  z.object({
    base: z.string(),
    texts: z.array(z.object({ ids: z.array(z.int()), greedy: z.array(z.int()) })),
  }),
);
const Written = z.object({ text: z.string(), tokens: z.array(z.int()) });

let bench: CatalogBench;
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });

beforeAll(async () => {
  bench = await openCatalogBench();
  await writeChattyDecoder(bench.local("tiny"));
  await writeInShards(bench.local("tiny"), bench.local("tiny"));
  const targets = ["q_proj", "v_proj", "down_proj"] as const;
  await writeDecoderAdapter(bench, "tuned", { targets, seed: 3 });
});

afterAll(async () => {
  await runner.close();
  await bench.close();
});

function exportInto(model: string, out: string, merge = false): Promise<string[]> {
  return runExport({ model, out, merge }, bench.settings, never);
}

/** What its script writes, in a process of its own. */
async function runScript(folder: string, prompts: readonly unknown[], tokensMax = 8) {
  await symlink(path.join(root, "node_modules"), path.join(folder, "node_modules"));
  const words = prompts.map((prompt) => JSON.stringify(prompt));
  const { stdout } = await promisify(execFile)(process.execPath, ["run.mjs", ...words], {
    cwd: folder,
    env: { MAX_TOKENS: String(tokensMax) },
  });
  const lines = stdout.trim().split("\n");
  return lines.map((line) => Written.parse(JSON.parse(line)));
}

/** The end of a text is written, and nothing behind it. */
function upTo(ends: readonly number[], tokens: readonly number[]): number[] {
  const end = tokens.findIndex((id) => ends.includes(id));
  return tokens.slice(0, end === -1 ? tokens.length : end + 1);
}

const Description = z.object({ end_tokens: z.array(z.int()), virtual_tokens: z.array(z.int()) });

const fromPeft = [
  ["peft-prompts", "llama-five", 5],
  ["peft-prompts", "gemma3-four", 4],
  ["peft-decoders", "qwen3-patterns", 0],
] as const;

it.each(fromPeft)("%s/%s writes what PEFT writes", async (kind, name, virtual) => {
  const all = Expected.parse(
    JSON.parse(readFileSync(path.join(checkpoints, kind, "expected.json"), "utf8")),
  );
  const { base, texts } = all[name] ?? { base: "", texts: [] };
  await writeTinyDecoder(bench.local(base), base);
  await cp(path.join(checkpoints, kind, name), bench.local(name), { recursive: true });
  const out = path.join(bench.folder, `exported-${name}`);
  const files = await exportInto(name, out);
  expect(files).toEqual(
    expect.arrayContaining(["model.json", "model.onnx", "run.mjs", "tokenizer.json"]),
  );
  const description = JSON.parse(readFileSync(path.join(out, "model.json"), "utf8"));
  const { end_tokens: ends, virtual_tokens } = Description.parse(description);
  expect(virtual_tokens).toHaveLength(virtual);
  const prompts = texts.map(({ ids }) => ids);
  const written = await runScript(out, prompts, texts[0]?.greedy.length);
  expect(written.map(({ tokens }) => tokens)).toEqual(
    texts.map(({ greedy }) => upTo(ends, greedy)),
  );
});

it("an adapter answers a conversation as it is served, and so does its base with it merged", async () => {
  const catalog = await bench.open();
  const asked = ["w12 w30", "w7"].map((content) => [{ role: "user" as const, content }]);
  const { model, release } = await catalog.lease("tuned", never);
  const request = {
    task: "chat-completion" as const,
    inputs: asked.map((messages) => ({ messages })),
    parameters: { max_tokens: 8, temperature: 0 },
  };
  const decoder = decoderFor("chat-completion", model);
  const { outputs } = await runner.run(chatCompletion, request, decoder, { signal: never });
  release();
  const served = outputs.map(({ choices: [choice] }) => choice?.text.trim());
  expect(new Set(served).size).toBeGreaterThan(1);
  const out = path.join(bench.folder, "exported-tuned");
  await exportInto(bench.local("tuned"), out, true);
  const written = await runScript(out, asked);
  expect(written.map(({ text }) => text.trim())).toEqual(served);
  const again = path.join(bench.folder, "exported-merged");
  await exportInto(path.join(out, "checkpoint"), again);
  expect(await runScript(again, asked)).toEqual(written);
});

it("refuses what has no form of its own", async () => {
  const into = (name: string) => path.join(bench.folder, name);
  await expect(exportInto("llama-five", into("a"), true)).rejects.toThrow(
    "--merge is for adapters: a soft prompt changes no weight of its base",
  );
  await expect(exportInto("tiny", into("b"), true)).rejects.toThrow(/this is a checkpoint/);
  await writeDecoderAdapter(bench, "other", {
    own: { formatVersion: 1, base_digest: "0".repeat(64) },
  });
  await expect(exportInto("other", into("c"))).rejects.toThrow(/weights of tiny here have/);
});
