/**
 * Adapters on SmolLM2-135M: tokens a second of a training step, beside what this machine's matrix products reach, and
 * twenty made-up facts taught by `tune`, asked in words that were not trained with, before and after.
 * `npm run bench -- tune-decoder speed` or `facts` measures one of them.
 */
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { decoderOf } from "../gpu-worker/architectures/decoder.ts";
import {
  decoderTokenizerFiles,
  readDecoderCheckpoint,
} from "../gpu-worker/checkpoints/decoder-checkpoint.ts";
import type { DecoderCheckpoint } from "../gpu-worker/checkpoints/decoder-checkpoint.ts";
import { openDecoderWeights } from "../gpu-worker/checkpoints/decoder-weights.ts";
import { runTune } from "../gpu-worker/cli/tune.ts";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { openChatRenderer } from "../gpu-worker/tokenizer/chat-template.ts";
import { makeTokenizer } from "../gpu-worker/tokenizer/tokenizer.ts";
import { trainingOperations } from "../gpu-worker/training/decoder-cost.ts";
import { decoderGraphs, withDecoderAdapters } from "../gpu-worker/training/decoder-graphs.ts";
import { packedFeeds } from "../gpu-worker/training/packed-rows.ts";
import { openTrainStep } from "../gpu-worker/training/train-step.ts";
import { planTraining } from "../gpu-worker/training/training-plan.ts";
import { layeredWeights } from "../gpu-worker/weights/memory-weights.ts";
import { openSafetensors } from "../gpu-worker/weights/safetensors-reader.ts";
import { openGreedyDecoder } from "../test/training/greedy-decoder.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";
import { median } from "./harness/http-load.ts";
import { type AskedFact, chatLine, madeUpFacts } from "./harness/made-up-facts.ts";

const folder = path.resolve(import.meta.dirname, "..", ".bench", "tune-decoder");
const base = path.join(sharedFolder, "models", "SmolLM2-135M-Instruct");
const id = "SmolLM2-135M-Instruct";
const now = () => performance.now();

async function readBase(): Promise<DecoderCheckpoint> {
  const checkpoint = await readDecoderCheckpoint(base, null);
  if (checkpoint === null) throw new Error(`${base} holds no decoder`);
  return checkpoint;
}

const [texts, tokens, steps] = [8, 128, 12];

/** A batch of texts of one length, of which the second half is learnt. */
async function measureSpeed(runtime: Runtime, { print, signal }: BenchContext): Promise<Row[]> {
  const { config, weights: stored } = openDecoderWeights(await readBase());
  const chosen = { strategy: "lora", layers: 0, epochs: 1, batch: texts } as const;
  const plan = planTraining({ ...chosen, learningRate: 1e-3, seed: 0, maxSeconds: 900 }, texts);
  const weights = withDecoderAdapters(stored, plan);
  const architecture = decoderOf(config);
  const layerCount = architecture.layers.length;
  const graphs = decoderGraphs(config, weights, { plan, positions: tokens, layerCount });
  const step = await openTrainStep({ ...graphs, runtime, weights, folder, signal });
  weights.close();
  const rows = Array.from({ length: texts }, (_, text) => ({
    ids: Array.from({ length: tokens + 1 }, (__, at) => 100 + ((at * 37 + text * 991) % 20_000)),
    learnt: Array.from({ length: tokens / 2 }, (__, at) => tokens / 2 + 1 + at),
  }));
  const lengths = rows.map(({ ids, learnt }) => ({
    tokens: ids.length - 1,
    learnt: learnt.length,
  }));
  const operations = trainingOperations({ architecture, training: lengths }, chosen);
  const shapes = [
    [architecture.hidden, architecture.hidden],
    [architecture.hidden, architecture.intermediate],
    [architecture.intermediate, architecture.hidden],
  ] as const;
  const gemm = { dtype: "float32", threads: runtime.threads, rows: texts * tokens } as const;
  const limitOf = () => measureGemm(runtime, { ...gemm, weights: shapes, repeats: 8, now, signal });
  try {
    const limits = [await limitOf()];
    const seconds: number[] = [];
    const before = process.cpuUsage();
    for (let at = 0; at < steps; at++) {
      const start = now();
      await step.step(packedFeeds(rows, 0), { learningRate: 1e-3, signal });
      seconds.push((now() - start) / 1000);
    }
    const { user } = process.cpuUsage(before);
    limits.push(await limitOf());
    const limit = Math.max(...limits);
    const best = Math.min(...seconds);
    const reached = operations / best / 1e9;
    print(
      `${reached.toFixed(0)} of ${limit.toFixed(0)} GOP/s; median ${median(seconds).toFixed(2)} s, ` +
        `${((steps * texts * tokens) / (user / 1e6)).toFixed(0)} tokens a second of a core`,
    );
    return [
      {
        ...plainRow("LoRA step, best", "tokens/s", (texts * tokens) / best),
        limitFraction: reached / limit,
      },
      plainRow("LoRA step, median", "tokens/s", (texts * tokens) / median(seconds)),
    ];
  } finally {
    await step.release();
  }
}

/** The share of answers that hold the fact. @param adapter its folder; null: the base alone */
async function shareKnown(
  adapter: string | null,
  facts: readonly AskedFact[],
  { print, signal }: BenchContext,
): Promise<number> {
  const checkpoint = await readBase();
  const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
  const { config, weights: stored } = openDecoderWeights(checkpoint);
  const weights =
    adapter === null
      ? stored
      : layeredWeights(openSafetensors(path.join(adapter, "adapter_model.safetensors")), stored);
  const renderer = openChatRenderer();
  const { chatTemplate } = checkpoint;
  if (chatTemplate === null) throw new Error(`${id} has no chat template`);
  const prompts: string[] = [];
  for (const { question } of facts) {
    const messages = [{ role: "user", content: question }];
    prompts.push(
      await renderer.render({ ...chatTemplate, messages, addGenerationPrompt: true }, signal),
    );
  }
  await renderer.close();
  const ids = (await tokenizer.encode(prompts, { signal })).map((each) => each.ids);
  const model = await openGreedyDecoder(config, weights, 128);
  const options = { endTokens: new Set(checkpoint.endTokens), tokensMax: 16 };
  const said = await tokenizer.decodeAll(await model.answers(ids, options));
  await model.release();
  for (const [at, { question }] of facts.entries()) print(`  ${question} ${said[at]}`);
  return facts.filter(({ answer }, at) => said[at]?.includes(answer)).length / facts.length;
}

async function teach(runtime: Runtime, context: BenchContext): Promise<Row[]> {
  const { training, heldOut } = madeUpFacts();
  const models = path.join(folder, "models");
  const out = path.join(folder, "facts");
  await rm(out, { recursive: true, force: true });
  await mkdir(models, { recursive: true });
  await rm(path.join(models, id), { force: true });
  await symlink(base, path.join(models, id));
  const file = async (name: string, facts: readonly AskedFact[]) => {
    const named = path.join(folder, name);
    await writeFile(named, facts.map(chatLine).join(""));
    return named;
  };
  const started = now();
  await runTune(
    {
      model: id,
      data: await file("train.jsonl", training),
      validation: await file("held-out.jsonl", heldOut),
      task: null,
      strategy: "auto",
      layers: 2,
      lora: null,
      epochs: 8,
      learningRate: null,
      learningRateMultiplier: 1,
      patience: null,
      threshold: 0,
      skipInvalid: false,
      batch: null,
      seed: 0,
      maxSeconds: 1_800,
      saveSeconds: 600,
      out,
    },
    {
      settings: {
        stateFolder: path.join(folder, "state"),
        modelsFolder: models,
        hub: { endpoint: "http://127.0.0.1:9", token: null },
        form: "f32",
        device: "cpu",
      },
      runtime,
      memoryBytes: process.availableMemory(),
      signal: context.signal,
      stream: process.stderr,
      say: context.print,
    },
  );
  const seconds = (now() - started) / 1000;
  return [
    plainRow("facts that the base knows", "%", 100 * (await shareKnown(null, heldOut, context))),
    plainRow(
      "facts that the tuned model knows",
      "%",
      100 * (await shareKnown(out, heldOut, context)),
    ),
    plainRow("tune, 8 epochs of 100 conversations", "s", seconds),
  ];
}

export const bench: Bench = {
  summary: "adapters on SmolLM2-135M: tokens/s beside the GEMM limit, and made-up facts taught",
  run: async (context) => {
    await mkdir(folder, { recursive: true });
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    context.print(runtime.describe());
    const [only] = context.args;
    return [
      ...(only === "facts" ? [] : await measureSpeed(runtime, context)),
      ...(only === "speed" ? [] : await teach(runtime, context)),
    ];
  },
};
