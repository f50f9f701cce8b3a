/**
 * What a developer gets who gives files and no settings: each data set of `../shared/data` is tuned through the public
 * API by OpenAI's client, with `model`, files, `task` and `seed` alone, and the figures of the job's own report are
 * printed. `npm run bench -- tune-auto sst2` does one; each takes as long as a job may (15 minutes without a GPU).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import OpenAI, { toFile } from "openai";
import {
  type ClassificationTable,
  TrainingReport,
} from "../contract/training/evaluation-report.ts";
import { type RunningStack, startStack } from "../infra/local/start-stack.ts";
import { type Bench, type BenchContext, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";

type DataSet = { folder: string; training: string; validation: string | null; task: string };

const model = "all-MiniLM-L6-v2";
const dataSets: readonly DataSet[] = [
  { folder: "conll2003", validation: "valid.jsonl", task: "token-classification" },
  { folder: "sst2", validation: "dev.jsonl", task: "text-classification" },
  { folder: "agnews", validation: null, task: "text-classification" },
  { folder: "banking77", validation: null, task: "text-classification" },
  { folder: "semeval2010-task8", validation: null, task: "relation-extraction" },
].map((dataSet) => ({ training: "train.jsonl", ...dataSet }));

const pollMs = 2000;

class Story {
  readonly #client: OpenAI;
  readonly #context: BenchContext;

  constructor(stack: RunningStack, context: BenchContext) {
    this.#client = new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1` });
    this.#context = context;
  }

  async tune({ folder, training, validation, task }: DataSet): Promise<Row[]> {
    const files = { training_file: await this.#upload(folder, training) };
    const heldOut =
      validation === null ? {} : { validation_file: await this.#upload(folder, validation) };
    const body = { model, ...files, ...heldOut, task, seed: 0 };
    const startedAt = performance.now();
    const { id } = await this.#client.fineTuning.jobs.create(body);
    const job = await this.#follow(id);
    const seconds = (performance.now() - startedAt) / 1000;
    const report = await this.#report(job.result_files);
    await this.#client.models.delete(job.fine_tuned_model ?? "");
    const tables = report.tables.filter(({ system }) => system === "tuned");
    return [
      ...tables.flatMap((table) => tableRows(folder, table)),
      plainRow(`${folder}, from create to succeeded`, "s", seconds),
    ];
  }

  async #upload(folder: string, name: string): Promise<string> {
    const content = await readFile(path.join(sharedFolder, "data", folder, name));
    const file = await toFile(content, name);
    return (await this.#client.files.create({ file, purpose: "fine-tune" })).id;
  }

  /** Prints its events as they come. */
  async #follow(id: string): Promise<OpenAI.FineTuning.FineTuningJob> {
    const seen = new Set<string>();
    for (;;) {
      const job = await this.#client.fineTuning.jobs.retrieve(id);
      const { data } = await this.#client.fineTuning.jobs.listEvents(id, { limit: 100 });
      for (const event of data.toReversed()) {
        if (seen.has(event.id)) continue;
        seen.add(event.id);
        this.#context.print(`  ${event.message}`);
      }
      if (job.status === "succeeded") return job;
      if (job.status === "failed" || job.status === "cancelled")
        throw new Error(`the job ${job.status}: ${job.error?.message ?? ""}`);
      await delay(pollMs, undefined, { signal: this.#context.signal });
    }
  }

  async #report(ids: readonly string[]): Promise<TrainingReport> {
    const files = await Promise.all(ids.map((id) => this.#client.files.retrieve(id)));
    const id = files.find(({ filename }) => filename === "report.json")?.id ?? "";
    const text = await (await this.#client.files.content(id)).text();
    return TrainingReport.parse(JSON.parse(text));
  }
}

/** Shares in percent, of the last held-out rows. */
function tableRows(
  folder: string,
  { level, accuracy, micro, macro, classes }: ClassificationTable,
): Row[] {
  const figure = (name: string, share: number) =>
    plainRow(`${folder}, ${level} ${name}`, "%", share * 100);
  const named = classes.filter(({ label, support }) => label !== "Other" && support > 0);
  const isPartial = level === "row" && named.length < classes.length;
  const withoutOther = named.reduce((total, { f1 }) => total + f1, 0) / named.length;
  return [
    ...(accuracy === null ? [] : [figure("accuracy", accuracy)]),
    figure("micro F1", micro.f1),
    figure("macro F1", macro.f1),
    ...(isPartial ? [figure("macro F1 of labels present without Other", withoutOther)] : []),
  ];
}

async function run(context: BenchContext): Promise<Row[]> {
  const { args, print } = context;
  const chosen = dataSets.filter(({ folder }) => args.length === 0 || args.includes(folder));
  if (chosen.length === 0)
    throw new Error(`no such data set: one of ${dataSets.map(({ folder }) => folder).join(", ")}`);
  if (!existsSync(path.join(sharedFolder, "data")))
    throw new Error(`the data sets are not here: ${path.join(sharedFolder, "data")}`);
  const stack = await startStack({ env: { LLM_OS_TRAINING: "on" } });
  try {
    const story = new Story(stack, context);
    const rows: Row[] = [];
    for (const dataSet of chosen) {
      print(`${dataSet.folder}: ${dataSet.task}`);
      rows.push(...(await story.tune(dataSet)));
    }
    return rows;
  } finally {
    await stack.stop();
  }
}

export const bench: Bench = {
  summary: "figures of every data set tuned through the API with no settings; 15 minutes each",
  run,
};
