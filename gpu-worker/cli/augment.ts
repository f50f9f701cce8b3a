/**
 * `npm run augment`: more examples made of a file of labelled ones, in this process, by what POST /v1/augment does. The
 * new file is fine-tuning's; what each candidate was kept by stands in another beside it. Here are its words alone: see
 * pipelines/augmentation.ts.
 */
import { readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  answersOf,
  augmentationLimits,
  isEdit,
  planOf,
} from "#contract/augmentation/augmentation-plan.ts";
import type { AugmentationReport } from "#contract/augmentation/augmentation-report.ts";
import { CodedError } from "#contract/errors.ts";
import { AugmentationParameters, LabelledExample } from "#contract/tasks/augmentation.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { type CatalogSettings, openCatalog } from "../catalog/open-catalog.ts";
import { type FieldNames, readLabelledTexts } from "../fit/labelled-texts.ts";
import { cpuBatchPolicy, TaskRunner } from "../jobs/task-runner.ts";
import type { ModelLease } from "../model/served-model.ts";
import { augmentation } from "../pipelines/augmentation.ts";
import type { Runtime } from "../runtime/session.ts";
import { percent } from "./head-card.ts";
import { openProgressBar, type ProgressBar } from "./progress-bar.ts";
import { formatTable } from "./table.ts";

type Own = Omit<AugmentationParameters, "zero_shot" | "embedder" | "pivot" | "methods">;

export type AugmentCommand = Own & {
  data: string;
  out: string;
  names: FieldNames;
  methods: readonly string[];
  pivot: string;
  embedder: string;
  /** Null: the embedder. */
  judge: string | null;
  /** Null: where the judge is no classifier. */
  zeroShot: boolean | null;
  /** Whether the examples themselves come first in the file. */
  originals: boolean;
  /** Whether files that are there may be written over. */
  force: boolean;
};

export type AugmentTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  signal: AbortSignal;
  stream: NodeJS.WriteStream;
  say(line: string): void;
};

const silent = { info: () => undefined, warn: () => undefined };

/** @throws Error that says what is wrong with the data, a model or a file, and what to do */
export async function runAugment(command: AugmentCommand, tools: AugmentTools): Promise<void> {
  const { data, out, originals } = command;
  // What is wrong with an option is told before anything is read or loaded.
  checkOptions(command);
  const scores = scoresBeside(out);
  if (!command.force) for (const file of [out, scores]) await expectNew(file);
  const examples = await readExamples(data, command.names);
  const bar = openProgressBar(tools.stream);
  const { settings, runtime } = tools;
  const catalog = await openCatalog(settings, { runtime, log: silent, now: Date.now });
  try {
    const report = await augment(examples, command, { ...tools, catalog, bar });
    bar.stop();
    const rows = [...(originals ? examples : []), ...report.candidates];
    await writeLines(
      out,
      rows.map(({ text, label }) => ({ text, label })),
    );
    await writeLines(scores, report.candidates);
    tools.say(inWords(report));
    for (const file of [out, scores]) tools.say(path.resolve(file));
  } finally {
    bar.stop();
    await catalog.close();
  }
}

/** `train.jsonl` as `train.scores.jsonl`. */
function scoresBeside(file: string): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}.scores${ext}`);
}

async function expectNew(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found === null) return;
  throw new Error(`${file} is there already: choose another --out, or write over it with --force`);
}

async function readExamples(file: string, names: FieldNames): Promise<LabelledExample[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be read: ${error.code ?? error.message}`, { cause: error });
  });
  try {
    const rows = readLabelledTexts(text, names);
    if (rows.length === 0) throw new Error("there is no example in it");
    for (const [index, row] of rows.entries()) checkExample(row, index);
    return rows;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${file}: ${reason}`, { cause: error });
  }
}

function checkExample(row: LabelledExample, index: number): void {
  if (LabelledExample.safeParse(row).success) return;
  const { textCharactersMax, labelCharactersMax } = augmentationLimits;
  throw new Error(
    `example ${index + 1} is too long: a text has ${textCharactersMax} characters at most, a label ` +
      `${labelCharactersMax}. Shorten it, or take it out`,
  );
}

type Working = AugmentTools & { catalog: Catalog; bar: ProgressBar };

async function augment(
  examples: LabelledExample[],
  command: AugmentCommand,
  { catalog, bar, signal }: Working,
): Promise<AugmentationReport> {
  const leases: ModelLease[] = [];
  const acquire = async (id: string) => {
    bar.show(`Loading ${id}`, 0, null);
    const lease = await catalog.lease(id, signal);
    leases.push(lease);
    return lease.model;
  };
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  try {
    const judge = await acquire(command.judge ?? command.embedder);
    const zeroShot = command.zeroShot ?? !judge.tasks.includes("text-classification");
    const parameters = parametersOf(command, zeroShot);
    checkWriting(examples.length, parameters);
    const request = { task: "augmentation", inputs: [{ examples }], parameters } as const;
    const onProgress = (done: number, total: number) => bar.show("Augmenting", done, total);
    const { outputs } = await runner.run(
      augmentation,
      { ...request, inputs: [...request.inputs] },
      judge,
      { signal, acquire, onProgress },
    );
    const [report] = outputs;
    if (report === undefined) throw new Error("there is no report");
    return report;
  } finally {
    await runner.close();
    for (const lease of leases) lease.release();
  }
}

/** @throws Error that names the option at fault */
function parametersOf(command: AugmentCommand, zeroShot: boolean): AugmentationParameters {
  const fields = Object.keys(AugmentationParameters.shape);
  const own = Object.entries(command).filter(([name]) => fields.includes(name));
  const asked = { ...Object.fromEntries(own), zero_shot: zeroShot };
  const read = AugmentationParameters.safeParse(asked);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const option = String(issue?.path[0] ?? "").replaceAll("_", "-");
  throw new Error(`--${option}: ${issue?.message ?? "it is out of bounds"}`);
}

/** @throws Error that names the option at fault */
function checkOptions(command: AugmentCommand): void {
  const { methods, generator, generated_max } = parametersOf(command, false);
  if (generator !== null || generated_max === 0 || methods.every(isEdit)) return;
  throw new Error("some of --methods are written by a model: name it with --generator");
}

function checkWriting(examples: number, parameters: AugmentationParameters): void {
  const { max_tokens } = parameters;
  const answers = answersOf(planOf(examples, parameters));
  const { generatedTokensMax } = augmentationLimits;
  if (answers * max_tokens <= generatedTokensMax) return;
  throw new CodedError(
    "invalid_value",
    `${answers} answers of ${max_tokens} tokens each are more than ${generatedTokensMax}: lower --generated-max or ` +
      "--max-tokens",
  );
}

async function writeLines(file: string, rows: readonly object[]): Promise<void> {
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

function inWords({ judge, tried, kept, rejected, methods, examples }: AugmentationReport): string {
  const table = formatTable(
    ["METHOD", "TRIED", "KEPT"],
    methods.map((each) => [each.method, String(each.tried), String(each.kept)]),
  );
  const reasons = Object.entries(rejected)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason} ${count}`);
  const share = percent(tried === 0 ? 0 : kept / tried);
  const counted = `${kept} of ${tried} candidates of ${examples.length} examples kept (${share})`;
  const by = `labels judged by ${judge.model}, ${judge.by}`;
  return `${table}\n${counted}; ${by}\nrejected: ${reasons.join(", ") || "none"}`;
}
