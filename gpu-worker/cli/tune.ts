/**
 * `npm run model -- tune`: trains a model on a file of examples and writes it as a folder that is served as it is, with
 * a report. Interrupted or killed, the same command goes on where it was.
 */
import { hash } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import type { Runtime } from "../runtime/session.ts";
import { readTrainingData } from "../training/read-training-data.ts";
import type { TrainingData } from "../training/read-training-data.ts";
import type { TextData } from "../training/text-classes.ts";
import type { TuningData } from "../training/training-task.ts";
import { answerTuning } from "../training/answers.ts";
import { textTuning } from "../training/text-classes.ts";
import { tokenTuning } from "../training/token-tags.ts";
import { planTraining } from "../training/training-plan.ts";
import type { TrainingPlan } from "../training/training-plan.ts";
import type { Score } from "../training/run-training.ts";
import { stateFolder, tuneEncoder } from "../training/tune-encoder.ts";
import { type BaseModel, findBase } from "./base-model.ts";
import { openDataSource } from "./data-source.ts";
import { openProgressBar, type ProgressBar } from "./progress-bar.ts";
import { formatTable } from "./table.ts";
import { tuneHead } from "./tune-head.ts";

export type TuneCommand = {
  /** Id or hub name. */
  model: string;
  data: string;
  /** Null: a share of the data is held out. */
  validation: string | null;
  strategy: "head" | "top-k" | "full";
  layers: number;
  epochs: number;
  learningRate: number;
  batch: number;
  seed: number;
  maxSeconds: number;
  saveSeconds: number;
  out: string;
};

export type TuneTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  signal: AbortSignal;
  stream: NodeJS.WriteStream;
  say(line: string): void;
};

/** @throws Error that says what is wrong with the data, the base or the folder, and what to do */
export async function runTune(command: TuneCommand, tools: TuneTools): Promise<void> {
  const { signal, say, stream } = tools;
  await expectFree(command.out);
  const base = await findBase(command.model, tools.settings);
  const { data: training, validation } = command;
  const open = (file: string) => () => openDataSource(file, signal);
  const data = await readTrainingData(
    { training: open(training), validation: validation === null ? null : open(validation) },
    { seed: command.seed, signal },
  );
  const bar = openProgressBar(stream);
  try {
    const report =
      command.strategy === "head"
        ? await tuneHead(command, { ...tools, bar, base, data: textsIn(data) })
        : await tuneLayers(command, { ...tools, bar, base, data });
    bar.stop();
    say(reportInWords(report));
    say(path.resolve(command.out));
  } finally {
    bar.stop();
  }
}

function tuningOf(given: TrainingData): TuningData {
  switch (given.task) {
    case "token-classification":
      return tokenTuning(given.data);
    case "question-answering":
      return answerTuning(given.data);
    default:
      return textTuning(given.task, given.data);
  }
}

/** @throws Error for another task's */
function textsIn({ task, data }: TrainingData): TextData {
  if (task === "text-classification") return data;
  throw new Error(`a head is fitted on whole texts, not for ${task}: use --strategy full`);
}

type Working = TuneTools & { bar: ProgressBar; base: BaseModel; data: TrainingData };

async function tuneLayers(
  command: TuneCommand,
  { base, data: given, bar, runtime, signal, say }: Working,
): Promise<TrainingReport> {
  const { strategy } = command;
  let steps = 0;
  return await tuneEncoder({
    base: { id: base.known.id, folder: base.folder },
    data: tuningOf(given),
    plan: ({ lengths }) => planTraining({ ...command, strategy }, lengths.training.length),
    out: command.out,
    fingerprint: await fingerprintOf(command, base.folder, signal),
    saveEverySeconds: command.saveSeconds,
    runtime,
    events: {
      onPlan: (plan, done) => {
        ({ steps } = plan);
        say(planInWords(plan, done));
      },
      onStep: ({ step }) => bar.show("Training", step, steps),
      onEvaluation: ({ step }, score) => say(scoreInWords(step, score)),
    },
    now: () => performance.now(),
    signal,
  });
}

/** The folder may hold a training that was interrupted, and nothing else. */
async function expectFree(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") throw new Error(`${folder} is no folder: choose another --out`);
    throw error;
  });
  if (names.includes(stateFolder) || names.length === 0) return;
  throw new Error(`${folder} is not empty: choose another --out`);
}

/** Of all that decides what comes out but the time that it is given. */
async function fingerprintOf(
  command: TuneCommand,
  folder: string,
  signal: AbortSignal,
): Promise<string> {
  const { data, validation, strategy, layers, epochs, learningRate, batch, seed } = command;
  const options = { strategy, layers, epochs, learningRate, batch, seed };
  const { weightsFile } = await readCheckpoint(folder);
  const files = [weightsFile, data, ...(validation === null ? [] : [validation])];
  const digests = await Promise.all(files.map((file) => sha256OfFile(file, signal)));
  return hash("sha256", JSON.stringify({ options, digests }));
}

function planInWords(plan: TrainingPlan, done: number): string {
  const { strategy, epochs, steps, batch, learningRate, maxSeconds } = plan;
  const rest =
    `${epochs} epochs of batches of ${batch}, ${steps} steps at a learning rate of ${learningRate}, ` +
    `${maxSeconds} seconds at most`;
  return `${strategy}: ${rest}${done === 0 ? "" : `; goes on after step ${done}`}`;
}

function scoreInWords(step: number, { name, value, loss }: Score): string {
  return `step ${step}: ${name} ${value.toFixed(4)}, loss ${loss.toFixed(4)}`;
}

function figure(value: number | null): string {
  return value === null ? "-" : value.toFixed(4);
}

function reportInWords({ comparisons, held_out_rows: rows, stopped, verdict }: TrainingReport) {
  const table = formatTable(
    [`${rows} HELD-OUT EXAMPLES`, "COMMONEST ANSWER", "TUNED"],
    comparisons.map(({ metric, base, tuned }) => [metric, figure(base), figure(tuned)]),
  );
  const [reason = ""] = verdict.reasons;
  return `${stopped.reason}: ${stopped.detail}\n${table}\n${verdict.decision}: ${reason}`;
}
