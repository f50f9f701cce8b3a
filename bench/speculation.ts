/**
 * What guessed tokens gain (prompt look-up, see gpu-worker/llm/look-ahead.ts): tokens a second of SmolLM2-135M-Instruct
 * with and without them, from 1, 4 and 8 streams, at a task that copies from its prompt and at one that does not; how
 * many answers are the same, and how near two tokens were where they part; and what a step takes with more tokens of
 * one of its texts. With and without are measured in turn, and the best of each counts, so that a machine that is busy
 * otherwise slows down neither. Takes the forms to be measured, by default int4 and int8.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { SlotScheduler } from "../gpu-worker/batching/slot-scheduler.ts";
import type { LoadedDecoder } from "../gpu-worker/catalog/loaded-model.ts";
import { runDecode, runMixed, runPrompt } from "../gpu-worker/llm/decoder-runs.ts";
import { Engine } from "../gpu-worker/llm/engine.ts";
import { defaultEngineLimits } from "../gpu-worker/llm/engine-limits.ts";
import { KeyValueSlots } from "../gpu-worker/llm/key-value-slots.ts";
import type { SamplingParameters } from "../gpu-worker/model/generation.ts";
import { readPrompts } from "../gpu-worker/pipelines/read-prompts.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../gpu-worker/runtime/session.ts";
import { openChatRenderer } from "../gpu-worker/tokenizer/chat-template.ts";
import { greedy } from "../test/llm/write-text.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { labelledTexts, sharedFolder } from "./harness/corpus.ts";
import { median } from "./harness/http-load.ts";
import { ServedModels } from "./harness/served-models.ts";

const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "speculation");
const id = "SmolLM2-135M-Instruct";
const folder = path.join(sharedFolder, "models", id);
const streamCounts = [1, 4, 8] as const;
const maxTokens = 64;
const rounds = 2;
/** One stream takes longest. */
const promptsMin = 3;
const forms = ["int4", "int8"] as const;

type Writing = { readonly name: string; readonly ask: (news: string) => string };

const tasks: readonly Writing[] = [
  {
    name: "copies",
    ask: (news) => `Repeat the following text word for word, twice:\n\n${news}`,
  },
  {
    name: "does not copy",
    ask: (news) => `Write a story about a child who hears this on the radio: ${news.slice(0, 60)}`,
  },
];

async function promptsOf(
  model: LoadedDecoder,
  { ask }: Writing,
  signal: AbortSignal,
): Promise<(readonly number[])[]> {
  const { chatTemplate } = model;
  if (chatTemplate === null) throw new Error(`${id} has no chat template`);
  const renderer = openChatRenderer();
  const prompts: (readonly number[])[] = [];
  for (const { text } of labelledTexts("agnews/train.jsonl", Math.max(...streamCounts))) {
    const messages = [{ role: "user", content: ask(text) }];
    const chat = { ...chatTemplate, messages, addGenerationPrompt: true };
    const input = await renderer.render(chat, signal);
    const read = readPrompts([{ input, name: text }], model, { wrapped: false, signal });
    for await (const { ids } of read) prompts.push(ids);
  }
  await renderer.close();
  return prompts;
}

type Course = {
  readonly prompts: readonly (readonly number[])[];
  readonly streams: number;
  readonly draftTokensMax: number;
  readonly sampling: SamplingParameters;
};

/** Each stream writes the next answer when its last one has ended. */
async function write(model: LoadedDecoder, course: Course, signal: AbortSignal) {
  const { draftTokensMax, prompts, streams, sampling } = course;
  const scheduler = new SlotScheduler();
  const limits = { slots: streams, draftTokensMax, guessesRepeatable: true };
  const engine = new Engine(model, { scheduler, now: () => performance.now(), limits });
  const answers = prompts.map((): number[] => []);
  /** Between the log probabilities of the two likeliest tokens at each place, where they are told. */
  const gaps = prompts.map((): number[] => []);
  const rest = prompts.entries();
  const stream = async () => {
    for (const [at, prompt] of rest) {
      const { endTokens } = model;
      await engine.generate(
        {
          prompt,
          choices: 1,
          maxTokens,
          endTokens,
          sampling,
          promptLogprobs: false,
          repeatable: true,
        },
        {
          signal,
          onToken: (_, { token, topLogprobs: [first, second] }) => {
            gaps[at]?.push((first?.logprob ?? 0) - (second?.logprob ?? 0));
            return (answers[at]?.push(token) ?? 0) > 0;
          },
          onRun: () => undefined,
        },
      );
    }
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: streams }, stream));
  const seconds = (performance.now() - startedAt) / 1_000;
  await engine.release(new Error("over"));
  const tokens = answers.reduce((sum, answer) => sum + answer.length, 0);
  return { answers, gaps, perSecond: tokens / seconds };
}

type Written = Awaited<ReturnType<typeof write>>;

/** Where answers part: the largest of the gaps there; null where none do. */
function partingGap(scored: Written, guessed: Written): number | null {
  const gaps = scored.answers.flatMap((answer, at) => {
    const parting = answer.findIndex((token, place) => token !== guessed.answers[at]?.[place]);
    return parting === -1 ? [] : [scored.gaps[at]?.[parting] ?? Number.NaN];
  });
  return gaps.length === 0 ? null : Math.max(...gaps);
}

async function compare(
  model: LoadedDecoder,
  { task, form, sampling }: { task: Writing; form: string; sampling: SamplingParameters },
  { signal, print }: BenchContext,
): Promise<Row[]> {
  const all = await promptsOf(model, task, signal);
  const rows: Row[] = [];
  for (const streams of streamCounts) {
    const prompts = all.slice(0, Math.max(streams, promptsMin));
    const [rates, same]: [{ with: number[]; without: number[] }, number[]] = [
      { with: [], without: [] },
      [],
    ];
    for (let round = 0; round < rounds; round += 1) {
      const course = { prompts, streams, sampling };
      const { draftTokensMax } = defaultEngineLimits;
      const plain = await write(model, { ...course, draftTokensMax: 0 }, signal);
      const guessed = await write(model, { ...course, draftTokensMax }, signal);
      rates.without.push(plain.perSecond);
      rates.with.push(guessed.perSecond);
      const own = guessed.answers.map(String);
      same.push(plain.answers.filter((answer, at) => String(answer) === own[at]).length);
    }
    const name = `${form}, ${task.name}, temperature ${sampling.temperature}, ${streams} streams`;
    const [own, without] = [Math.max(...rates.with), Math.max(...rates.without)];
    rows.push(comparedRow(name, "tokens/s", own, { name: "without", value: without }));
    rows.push(plainRow(`${name}: the same answers`, `of ${prompts.length}`, median(same)));
    if (sampling.temperature === 0 && streams === 1) {
      const course = { prompts, streams, sampling: { ...sampling, topLogprobs: 2 } };
      const { draftTokensMax } = defaultEngineLimits;
      const scored = await write(model, { ...course, draftTokensMax: 0 }, signal);
      const gap = partingGap(scored, await write(model, { ...course, draftTokensMax }, signal));
      if (gap !== null) rows.push(plainRow(`${name}: nearest tokens where they part`, "nats", gap));
      print(`${name}: they part at ${gap ?? "no token"}`);
    }
    print(`${name}: ${without.toFixed(1)} → ${own.toFixed(1)} tokens/s, ${median(same)} the same`);
  }
  return rows;
}

const contextTokens = 200;
const moreTokens = [0, 1, 2, 4, 8, 15] as const;

/** Milliseconds of a step, by how many more tokens of one of its texts are in it. */
async function stepRows(
  { session }: LoadedDecoder,
  form: string,
  signal: AbortSignal,
): Promise<Row[]> {
  const slots = Math.max(...streamCounts);
  const how = { signal, inverseTemperatures: null };
  const memory = await KeyValueSlots.open(
    { session },
    { slots, tokens: 512, askedMax: slots + 16 },
  );
  const tokens = Array.from({ length: contextTokens }, (_, at) => (at * 7) % 1_000);
  for (let slot = 0; slot < slots; slot += 1) {
    await runPrompt(memory, { slot, adapter: 0, tokens, from: 0, asked: [] }, how);
  }
  const rows: Row[] = [];
  for (const streams of streamCounts) {
    for (const more of moreTokens) {
      const others = more === 0 ? streams : streams - 1;
      const row = { token: 5, length: contextTokens + 1, adapter: 0, asked: true };
      const batch = { firstSlot: 0, rows: Array.from({ length: others }, () => row) };
      const fed = tokens.slice(0, more + 1);
      const asked = fed.map((_, at) => at);
      const piece = { slot: others, adapter: 0, tokens: fed, from: contextTokens, asked };
      const step = () => {
        if (more === 0) return runDecode(memory, batch, how);
        if (others === 0) return runPrompt(memory, piece, how);
        return runMixed(memory, batch, piece, how);
      };
      const times: number[] = [];
      for (let round = 0; round < 11; round += 1) {
        const startedAt = performance.now();
        await step();
        times.push(performance.now() - startedAt);
      }
      rows.push(
        plainRow(`${form}, a step of ${streams} texts, ${more} more`, "ms", Math.min(...times)),
      );
    }
  }
  await memory.release();
  return rows;
}

async function measureForm(
  runtime: Runtime,
  form: (typeof forms)[number],
  context: BenchContext,
): Promise<Row[]> {
  const modelsFolder = path.join(stateFolder, "models");
  rmSync(modelsFolder, { recursive: true, force: true });
  mkdirSync(modelsFolder, { recursive: true });
  symlinkSync(folder, path.join(modelsFolder, id));
  const served = await ServedModels.open({ runtime, stateFolder, modelsFolder, form });
  const model = await served.loadDecoder(id, context.signal);
  const rows = await stepRows(model, form, context.signal);
  for (const { name, ours } of rows) context.print(`${name}: ${ours.toFixed(1)} ms`);
  for (const temperature of [0, 0.2]) {
    for (const task of tasks) {
      const sampling = { ...greedy, temperature };
      rows.push(...(await compare(model, { task, form, sampling }, context)));
    }
  }
  await served.close();
  return rows;
}

export const bench: Bench = {
  summary: "tokens a second of a decoder with guessed tokens and without, and what a step takes",
  run: async (context) => {
    if (!existsSync(folder)) throw new Error(`needs ${path.relative(process.cwd(), folder)}`);
    const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn } });
    context.print(runtime.describe());
    const rows: Row[] = [];
    for (const form of forms) {
      if (context.args.length > 0 && !context.args.includes(form)) continue;
      rows.push(...(await measureForm(runtime, form, context)));
    }
    return rows;
  },
};
