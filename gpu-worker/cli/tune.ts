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
import { measureGemm } from "../runtime/measure-gemm.ts";
import type { Runtime } from "../runtime/session.ts";
import { answerTuning } from "../training/answers.ts";
import { readTrainingData } from "../training/read-training-data.ts";
import type { TrainingData } from "../training/read-training-data.ts";
import { textTuning } from "../training/text-classes.ts";
import { tokenTuning } from "../training/token-tags.ts";
import type { TuningData } from "../training/training-task.ts";
import type { TextData } from "../training/text-classes.ts";
import { type Choice, choosePlan } from "../training/choose-plan.ts";
import { readTraining } from "../training/training-state.ts";
import { planInWords } from "../training/tuning-card.ts";
import { planTraining } from "../training/training-plan.ts";
import type { TrainingPlan } from "../training/training-plan.ts";
import type { Score } from "../training/run-training.ts";
import {
  type PreparedTuning,
  prepareTuning,
  stateFolder,
  stateFolderOf,
  tuneEncoder,
} from "../training/tune-encoder.ts";
import { type BaseModel, describeBase, findBase } from "./base-model.ts";
import { openDataSource } from "./data-source.ts";
import { openProgressBar, type ProgressBar } from "./progress-bar.ts";
import { formatTable } from "./table.ts";
import { isHeadData, tuneHead } from "./tune-head.ts";

export type TuneCommand = {
  /** Id or hub name. */
  model: string;
  data: string;
  /** Null: a share of the data is held out. */
  validation: string | null;
  strategy: "auto" | TrainingPlan["strategy"];
  /** Of top-k. */
  layers: number;
  /** Null: chosen by how many examples and seconds there are. */
  epochs: number | null;
  /** Null: by the model's width. */
  learningRate: number | null;
  batch: number;
  seed: number;
  maxSeconds: number;
  saveSeconds: number;
  out: string;
};

export type TuneTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  /** What the training may take. */
  memoryBytes: number;
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
    const report = await tuneData(command, { ...tools, bar, base, data });
    bar.stop();
    say(reportInWords(report));
    say(path.resolve(command.out));
  } finally {
    bar.stop();
  }
}

type Working = TuneTools & { bar: ProgressBar; base: BaseModel; data: TrainingData };

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

const now = () => performance.now();

/** The plan of the training that was interrupted, or a new one. @throws MemoryError */
async function decide(
  command: TuneCommand,
  prepared: PreparedTuning,
  { data, runtime, memoryBytes, signal, say }: Working,
): Promise<TrainingPlan> {
  const { facts } = prepared;
  const { threads } = runtime;
  const options = { dtype: "float32", threads, repeats: 3, now, signal } as const;
  const gemmRate = (await measureGemm(runtime, options)) * 1e9;
  const wishes = {
    ...command,
    strategy: command.strategy === "auto" ? null : command.strategy,
    headFits: data.task === "text-classification" && isHeadData(data.data),
  };
  const choice = choosePlan(facts, wishes, { gemmRate, memoryBytes });
  say(choiceInWords(command, choice));
  const { seed, maxSeconds } = command;
  return planTraining({ ...choice, seed, maxSeconds }, facts.lengths.training.length);
}

async function tuneData(command: TuneCommand, tools: Working): Promise<TrainingReport> {
  const { base, data, bar, runtime, signal, say } = tools;
  const { id } = base.known;
  const upstream = await describeBase(base, signal);
  const named = { id, folder: base.folder, upstream };
  const prepared = await prepareTuning(named, tuningOf(data), signal);
  const fingerprint = await fingerprintOf(command, base.folder, signal);
  const from = await readTraining(stateFolderOf(command.out), fingerprint);
  const plan = from?.plan ?? (await decide(command, prepared, tools));
  if (from !== null) say(`goes on after step ${from.progress.step}`);
  if (plan.strategy === "head") return await tuneHead(command, { ...tools, data: textsIn(data) });
  say(planInWords(plan));
  return await tuneEncoder({
    prepared,
    plan,
    from,
    out: command.out,
    fingerprint,
    saveEverySeconds: command.saveSeconds,
    runtime,
    events: {
      onStep: ({ step, steps }) => bar.show("Training", step, steps ?? plan.steps),
      onEvaluation: ({ step }, score) => say(scoreInWords(step, score)),
      onShortened: (steps) =>
        say(
          `${steps} of ${plan.steps} steps fit in ${plan.maxSeconds} seconds: the rate ends there`,
        ),
    },
    now,
    signal,
  });
}

function choiceInWords({ strategy, maxSeconds }: TuneCommand, choice: Choice): string {
  const { strategy: chosen, layers, epochs, seconds } = choice;
  const what = chosen === "top-k" ? `top-k of ${layers} layers` : chosen;
  const passes = chosen === "head" ? "" : `, ${epochs} epochs`;
  const by = strategy === "auto" ? "chosen by auto, " : "";
  return `${what}${passes}: ${by}about ${Math.ceil(seconds)} of ${maxSeconds} seconds`;
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
