/** A soft prompt of an encoder: trained, written as PEFT has it, served beside its base and others, exported. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Catalog } from "../../gpu-worker/catalog/catalog.ts";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { promptTable } from "../../gpu-worker/architectures/virtual-tokens.ts";
import { runRows } from "../../gpu-worker/model/run-rows.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench, stateOf } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { writeTunedAdapter } from "../catalog/tuned-adapter.ts";
import { classify, madeTexts, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;
let data: string;
const texts = madeTexts(160);

beforeAll(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
  const lines = texts.map((text) => ({ text, label: String(text.includes("quick")) }));
  data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
});

afterAll(() => bench.close());

async function train(name: string, options: Partial<TuneCommand> = {}) {
  const command = { model: "tiny", data, out: bench.local(name), strategy: "soft-prompt" } as const;
  return await tune(bench, { ...command, ...options });
}

const softPrompt = { virtualTokens: 4, initialText: "fox" };

function tableOf(name: string): number[] {
  const source = openSafetensors(path.join(bench.local(name), "adapter_model.safetensors"));
  const values = [...readFloat32(source, promptTable)];
  source.close();
  return values;
}

/** Scores of a label. */
async function scoresOf(catalog: Catalog, id: string, inputs: readonly string[]) {
  const given = await classify(catalog, id, inputs);
  return given.map((labels) => labels.find(({ label }) => label === "true")?.score ?? NaN);
}

it("is learnt, and answers as it was judged, in batches with its base and others", async () => {
  const said = await train("prompt", { softPrompt, epochs: 40, learningRate: 0.1 });
  expect(said[1]).toMatch(/^Trained a soft prompt of 4 virtual tokens and the head by AdamW/);
  await train("still", { softPrompt, epochs: 1, learningRate: 1e-9 });
  await writeTunedAdapter(bench, "lora");
  const config = JSON.parse(
    readFileSync(path.join(bench.local("prompt"), "adapter_config.json"), "utf8"),
  );
  expect(config).toMatchObject({
    peft_type: "PROMPT_TUNING",
    task_type: "SEQ_CLS",
    num_virtual_tokens: 4,
    token_dim: 8,
  });
  const apart = tableOf("prompt").map((value, at) => Math.abs(value - (tableOf("still")[at] ?? 0)));
  expect(Math.max(...apart)).toBeGreaterThan(0.05);
  const { comparisons } = reportOf(bench.local("prompt"));
  const accuracy = comparisons.find(({ metric }) => metric === "accuracy");
  expect(accuracy?.tuned).toBeGreaterThan(accuracy?.base ?? 1);

  const catalog = await bench.open();
  const base = await acquireEncoder(catalog, "tiny");
  const prompt = await acquireEncoder(catalog, "prompt");
  expect(prompt.limits.maxTokens).toBe(base.limits.maxTokens - 4);
  expect(stateOf(catalog, "prompt").limits).toEqual(prompt.limits);
  const asked = texts.slice(0, 60);
  const alone = await scoresOf(catalog, "prompt", asked);
  expect(new Set(alone).size).toBeGreaterThan(10);
  const other = await acquireEncoder(catalog, "still");
  const lora = await acquireEncoder(catalog, "lora");
  expect(other.session).toBe(prompt.session);
  const rows = [prompt, other, lora].map(({ softPrompt: ids = [], adapter = 0 }) => ({
    ids: [...ids, 2, 5, 6, 3],
    adapter,
    outputs: ["last_hidden_state" as const],
  }));
  const together = await runRows(rows, prompt, never);
  for (const [at, row] of rows.entries()) {
    const [own] = await runRows([row], prompt, never);
    const [a, b] = [own, together[at]].map((each) => [...(each?.last_hidden_state ?? [])]);
    expect(a).toHaveLength(row.ids.length * 8);
    expect(b).toEqual(a?.map((value): number => expect.closeTo(value, 5)));
  }
  expect(await scoresOf(catalog, "prompt", asked)).toEqual(alone);
});

it.runIf(process.platform === "linux")("leaves no file open where it cannot begin", async () => {
  const wordless = { ...softPrompt, initialText: " " };
  await expect(train("wordless", { softPrompt: wordless })).rejects.toThrow(/has no token/);
  const open = readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      // The one that was read from.
      return [];
    }
  });
  expect(open.filter((file) => file.startsWith(bench.local("tiny")))).toEqual([]);
});

it("is refused for what it is not served for, and where it leaves no room", async () => {
  await expect(train("long", { softPrompt: { ...softPrompt, virtualTokens: 15 } })).rejects.toThrow(
    /virtual ones leave no room: lower --virtual-tokens/,
  );
  const tagged = madeTexts(40).map((text) => {
    const tokens = text.split(" ");
    return { tokens, tags: tokens.map((word) => (word === "fox" ? "B-X" : "O")) };
  });
  const tags = await writeLines(path.join(bench.folder, "tags.jsonl"), tagged);
  await expect(train("tags", { data: tags })).rejects.toThrow(
    "a soft prompt is not trained for token-classification, of an encoder for text-classification alone",
  );
});
