/**
 * How well SmolLM2-135M classifies by prompts, through the public API: samples of sst2 and agnews out of
 * `../shared/data`, with no examples, with some, and as an optimisation leaves it. `npm run bench -- prompts sst2` does
 * one; a number says how many examples, 50 at least. Labels alone may be written, where the worker can hold a text to
 * them; `free` lets the model write as it likes.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { PromptReport } from "../contract/prompts/prompt-report.ts";
import type { PromptExample } from "../contract/prompts/prompt.ts";
import { randomFrom } from "../contract/random.ts";
import { type RunningStack, startStack } from "../infra/local/start-stack.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";

type DataSet = {
  folder: string;
  file: string;
  instruction: string;
  input: string;
  labels: readonly string[];
  /** Examples that are evaluated unless a number says otherwise: an optimisation of more would read too much. */
  sampled: number;
};

const model = "SmolLM2-135M-Instruct";
const dataSets: readonly DataSet[] = [
  {
    folder: "sst2",
    file: "dev.jsonl",
    instruction: "Say whether the sentence of a film review is positive or negative.",
    input: "Sentence: {{text}}\nMood:",
    labels: ["positive", "negative"],
    sampled: 100,
  },
  {
    folder: "agnews",
    file: "train.jsonl",
    instruction: "Say which section of a newspaper the text belongs to.",
    input: "Text: {{text}}\nSection:",
    labels: ["World", "Sports", "Business", "Sci/Tech"],
    sampled: 60,
  },
];

/** Shots by hand, as many of each label. */
const shotsOfEach = 2;
const seed = 0;
const pollMs = 2_000;
/** Of a text, so that eight of them leave room in a prompt. */
const charactersMax = 300;

const DataLine = z.object({ text: z.string(), label: z.string() });
const JobAnswer = z.object({
  status: z.string(),
  progress: z.object({ completed: z.int(), total: z.int() }).nullable(),
  output: z.unknown(),
  error: z.unknown(),
});

async function sampleOf({ folder, file }: DataSet): Promise<PromptExample[]> {
  const text = await readFile(path.join(sharedFolder, "data", folder, file), "utf8");
  const random = randomFrom(seed);
  const lines = text.split("\n").filter(Boolean);
  return lines
    .map((line) => ({ line: DataLine.parse(JSON.parse(line)), place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ line: { text: said, label } }) => ({
      variables: { text: said.slice(0, charactersMax) },
      output: label,
    }));
}

class Evaluations {
  readonly #stack: RunningStack;
  readonly #context: BenchContext;
  readonly #constrain: boolean;
  /** Null: as the data set has it. */
  readonly #sampled: number | null;

  constructor(stack: RunningStack, context: BenchContext) {
    this.#stack = stack;
    this.#context = context;
    this.#constrain = !context.args.includes("free");
    const sampled = context.args.find(isNumber);
    this.#sampled = sampled === undefined ? null : Number(sampled);
  }

  async run(dataSet: DataSet): Promise<Row[]> {
    const { folder, instruction, input, labels } = dataSet;
    const sample = await sampleOf(dataSet);
    const shots = labels.flatMap((label) =>
      sample.filter(({ output }) => output === label).slice(0, shotsOfEach),
    );
    const examples = sample
      .filter((each) => !shots.includes(each))
      .slice(0, this.#sampled ?? dataSet.sampled);
    const messages = [
      { role: "system", content: instruction },
      { role: "user", content: input },
    ];
    const bare = await this.#create({ name: `${folder}, bare`, messages, model });
    const shown = await this.#create({ name: folder, messages, model, examples: shots });
    const asked = { examples, labels, constrain: this.#constrain, seed };
    const rows: Row[] = [];
    for (const [name, id] of [
      ["no examples", bare],
      [`${shots.length} examples`, shown],
    ] as const) {
      const { report, seconds } = await this.#evaluate(id, asked);
      rows.push(...accuracyRows(`${folder}, ${name}`, report.figures.accuracy));
      rows.push(plainRow(`${folder}, ${name}, ${report.cost.units} units`, "s", seconds));
    }
    return [...rows, ...(await this.#optimise(folder, bare, asked))];
  }

  async #optimise(folder: string, id: string, asked: object): Promise<Row[]> {
    const { report, seconds } = await this.#evaluate(id, { ...asked, optimise: true });
    const { optimisation: found, cost } = report;
    if (found === null) throw new Error("nothing was optimised");
    const { winner, difference, better } = found;
    this.#context.print(
      `  ${folder}: "${winner.wording}" with ${winner.shots} shots ${better ? "is better" : "is not surely better"}`,
    );
    return [
      ...accuracyRows(`${folder}, held out, as written`, found.baseline),
      ...accuracyRows(`${folder}, held out, winner`, winner.accuracy),
      plainRow(`${folder}, winner less baseline, low`, "points", 100 * difference.low),
      plainRow(`${folder}, winner less baseline, high`, "points", 100 * difference.high),
      plainRow(`${folder}, optimisation, ${cost.calls} calls, ${cost.units} units`, "s", seconds),
    ];
  }

  async #create(prompt: object): Promise<string> {
    const { id } = z.object({ id: z.string() }).parse(await this.#send("/v1/prompts", prompt));
    return id;
  }

  async #evaluate(id: string, asked: object): Promise<{ report: PromptReport; seconds: number }> {
    const startedAt = performance.now();
    const begun = await this.#send(`/v1/prompts/${id}/evaluate`, asked);
    const job = z.object({ id: z.string() }).parse(begun).id;
    for (;;) {
      const { status, output, error, progress } = JobAnswer.parse(
        await this.#send(`/v1/jobs/${job}`),
      );
      if (status === "succeeded")
        return {
          report: PromptReport.parse(output),
          seconds: (performance.now() - startedAt) / 1_000,
        };
      if (status === "failed" || status === "canceled")
        throw new Error(`the job ${status}: ${JSON.stringify(error)}`);
      if (progress !== null)
        this.#context.print(`  ${progress.completed} of ${progress.total} answers`);
      await delay(pollMs, undefined, { signal: this.#context.signal });
    }
  }

  async #send(to: string, body?: object): Promise<unknown> {
    const { url, operatorKey } = this.#stack;
    const response = await fetch(`${url}${to}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${operatorKey}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: this.#context.signal,
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${to}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

function accuracyRows(
  name: string,
  { value, low, high }: { value: number; low: number; high: number },
) {
  return [
    plainRow(`${name}, accuracy`, "%", 100 * value),
    plainRow(`${name}, interval from`, "%", 100 * low),
    plainRow(`${name}, interval to`, "%", 100 * high),
  ];
}

function isNumber(arg: string): boolean {
  return /^\d+$/.test(arg);
}

async function run(context: BenchContext): Promise<Row[]> {
  const names = context.args.filter((arg) => arg !== "free" && !isNumber(arg));
  const chosen = dataSets.filter(({ folder }) => names.length === 0 || names.includes(folder));
  if (chosen.length === 0)
    throw new Error(`no such data set: one of ${dataSets.map(({ folder }) => folder).join(", ")}`);
  const models = path.join(sharedFolder, "models");
  for (const needed of [path.join(sharedFolder, "data"), path.join(models, model)])
    if (!existsSync(needed)) throw new Error(`it is not here: ${needed}`);
  const stack = await startStack({ env: { LLM_OS_MODELS: models } });
  try {
    const evaluations = new Evaluations(stack, context);
    const rows: Row[] = [];
    for (const dataSet of chosen) rows.push(...(await evaluations.run(dataSet)));
    return rows;
  } finally {
    await stack.stop();
  }
}

export const bench: Bench = {
  summary: "accuracy of a small model by prompts, without and with the optimiser; minutes each",
  run,
};
