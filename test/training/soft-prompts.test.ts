/**
 * Soft prompts as they are trained: ten steps of AdamW beside PEFT's (test/checkpoints/peft-prompts/make_prompts.py),
 * what they begin as, and what is refused.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { decoderOf } from "../../gpu-worker/architectures/decoder.ts";
import { promptTable } from "../../gpu-worker/architectures/virtual-tokens.ts";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32 } from "../../gpu-worker/tensor/tensor.ts";
import { decoderGraphs } from "../../gpu-worker/training/decoder-graphs.ts";
import { packedFeeds } from "../../gpu-worker/training/packed-rows.ts";
import { behindSoftPrompt } from "../../gpu-worker/training/soft-prompt.ts";
import { openTrainStep } from "../../gpu-worker/training/train-step.ts";
import { planTraining } from "../../gpu-worker/training/training-plan.ts";
import { layeredWeights, memoryWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeChattyDecoder } from "./chatty-decoder.ts";
import { tune, writeLines } from "./tune-bench.ts";

const Table = z.array(z.array(z.number()));
const Reference = z.record(
  z.string(),
  z.object({
    learning_rate: z.number(),
    start: Table,
    steps: z.array(z.object({ texts: z.array(z.array(z.int())), loss: z.number() })),
    end: Table,
  }),
);
const folders = path.join(import.meta.dirname, "../architectures/decoders");
const file = path.join(import.meta.dirname, "../checkpoints/peft-prompts/training.json");
const references = Object.entries(Reference.parse(JSON.parse(readFileSync(file, "utf8"))));

let runtime: Runtime;
let work: string;
let bench: CatalogBench;

beforeAll(async () => {
  const log = { info: () => undefined, warn: () => undefined };
  runtime = await openRuntime({ log, only: "c-api", poolThreads: 1 });
  work = mkdtempSync(path.join(tmpdir(), "soft-prompts-"));
  bench = await openCatalogBench();
  await writeChattyDecoder(bench.local("tiny"));
});

afterAll(async () => {
  rmSync(work, { recursive: true, force: true });
  await bench.close();
});

describe("ten steps are PEFT's", () => {
  it.each(references)("on %s", async (name, { learning_rate: learningRate, start, ...taken }) => {
    const folder = path.join(folders, name);
    const config: unknown = JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"));
    const [count, width] = [start.length, start[0]?.length ?? 0];
    const table = new Map([[promptTable, float32([count, width], start.flat())]]);
    const stored = openSafetensors(path.join(folder, "model.safetensors"));
    const weights = layeredWeights(memoryWeights(table), stored);
    const { vocabulary, layers } = decoderOf(config);
    const chosen = { strategy: "soft-prompt", layers: 0, epochs: 1, batch: 3 } as const;
    const plan = planTraining({ ...chosen, learningRate, seed: 0, maxSeconds: 60 }, 30);
    const options = { plan, positions: 32, layerCount: layers.length };
    const graphs = decoderGraphs(config, weights, options);
    expect(graphs.trained).toEqual([promptTable]);
    const { update } = graphs;
    const step = await openTrainStep({ runtime, update, evaluation: null, weights, folder: work });
    weights.close();
    try {
      for (const { texts, loss } of taken.steps) {
        const rows = texts.map((ids) => ({ ids, learnt: [...ids.keys()].slice(3) }));
        const feeds = packedFeeds(behindSoftPrompt(rows, { vocabulary, count }), 0);
        const figures = await step.step(feeds, { learningRate });
        expect(Math.abs((figures["loss"] ?? NaN) - loss) / loss).toBeLessThan(1e-4);
      }
      const end = (await step.read([promptTable])).get(promptTable)?.data ?? [];
      const apart = taken.end.flat().map((value, at) => Math.abs(value - Number(end[at])));
      expect(Math.max(...apart)).toBeLessThan(1e-2 * learningRate);
    } finally {
      await step.release();
    }
  });
});

const chats = Array.from({ length: 12 }, (_, at) => ({
  messages: [
    { role: "user", content: `w${10 + at}` },
    { role: "assistant", content: "w20 w40" },
  ],
}));

async function train(name: string, options: Partial<TuneCommand>) {
  const data = await writeLines(path.join(bench.folder, `${name}.jsonl`), chats);
  const out = bench.local(name);
  const command = { model: "tiny", data, out, strategy: "soft-prompt", epochs: 1 } as const;
  return { out, said: await tune(bench, { ...command, ...options }) };
}

function valuesOf(weights: string, name: string): Float32Array {
  const source = openSafetensors(weights);
  const values = readFloat32(source, name);
  source.close();
  return values;
}

const refused = [
  [
    31,
    null,
    "tiny reads 32 tokens, in which 31 virtual ones leave no room: lower --virtual-tokens",
  ],
  [28, null, "the first 4, which are all that tiny reads"],
  [1_001, null, "more than are served, 1000: lower --virtual-tokens"],
  [5, " ", "change --initial-text"],
] as const;

describe("a soft prompt", () => {
  it("is written as PEFT has it: the vectors of its first text where it learns nothing", async () => {
    const softPrompt = { virtualTokens: 5, initialText: "w7 w9" };
    const { out, said } = await train("still", { softPrompt, learningRate: 1e-9 });
    expect(said[1]).toMatch(/^Trained a soft prompt of 5 virtual tokens by AdamW/);
    const config = JSON.parse(readFileSync(path.join(out, "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({
      peft_type: "PROMPT_TUNING",
      task_type: "CAUSAL_LM",
      num_virtual_tokens: 5,
      token_dim: 24,
      num_transformer_submodules: 1,
    });
    const vectors = valuesOf(path.join(out, "adapter_model.safetensors"), promptTable);
    const base = path.join(bench.local("tiny"), "model.safetensors");
    const words = valuesOf(base, "model.embed_tokens.weight");
    // With the token that begins every text.
    const begun = [1, 7, 9, 1, 7].flatMap((id) => [...words.subarray(id * 24, (id + 1) * 24)]);
    for (const [at, value] of begun.entries()) expect(vectors[at]).toBeCloseTo(value, 6);
  });

  it("is refused where it has no room, or no word to begin as", async () => {
    for (const [at, [virtualTokens, initialText, reason]] of refused.entries()) {
      const softPrompt = { virtualTokens, initialText };
      await expect(train(`refused-${at}`, { softPrompt })).rejects.toThrow(reason);
    }
  });
});
