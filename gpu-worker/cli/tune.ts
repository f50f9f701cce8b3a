/**
 * `npm run model -- tune`: trains a model on a file of examples and writes it as a folder that is served as it is, with
 * a report. Interrupted or killed, the same command goes on where it was. Here are its words alone: see
 * training/tune-model.ts.
 */
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { counted, metricName } from "#contract/training/report-words.ts";
import { describeBase, findBase } from "../catalog/base-model.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { openTuned } from "../catalog/open-tuned.ts";
import { baseNames, stopReasons } from "../evaluation/report-words.ts";
import { sha256OfFile } from "../files/file-digest.ts";
import { freeBytes } from "../files/free-bytes.ts";
import type { Runtime } from "../runtime/session.ts";
import { DataError } from "../training/checked-data.ts";
import type { Choice } from "../training/choose-plan.ts";
import type { Score } from "../training/run-training.ts";
import type { SearchTrial } from "../training/search.ts";
import { stateFolder } from "../training/train-in-folder.ts";
import { plain } from "./data-report.ts";
import { noticesOfData } from "../datasets/data-words.ts";
import type { TuningOptions } from "../training/prepare-training.ts";
import { type ExampleFile, tuneModel } from "../training/tune-model.ts";
import type { TuningEvent } from "../training/tune-model.ts";
import {
  evaluationsInWords,
  planInWords,
  searchOverInWords,
  smallerInWords,
  verdictSentence,
} from "../training/tuning-card.ts";
import { expectFile, openDataSource } from "./data-source.ts";
import { percent } from "./head-card.ts";
import { openProgressBar, type ProgressBar } from "./progress-bar.ts";
import { formatTable } from "./table.ts";

export type TuneCommand = TuningOptions & {
  /** Id or hub name. */
  model: string;
  data: string;
  /** Null: a share of the data is held out. */
  validation: string | null;
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
  const { settings, runtime, memoryBytes, signal, say, stream } = tools;
  const { model, data, validation, saveSeconds, out, ...options } = command;
  await expectFree(out);
  const base = await findBase(model, settings);
  const { id } = base.known;
  const bar = openProgressBar(stream);
  try {
    const report = await tuneModel({
      base: { id, folder: base.folder, upstream: await describeBase(base, signal) },
      training: await exampleFile(data, signal),
      validation: validation === null ? null : await exampleFile(validation, signal),
      options,
      name: path.basename(path.resolve(out)),
      out,
      saveSeconds,
      runtime,
      serve: (folder, until) => openTuned({ base, folder }, { settings, runtime, log }, until),
      memoryBytes,
      diskBytes: await freeBytes(path.dirname(path.resolve(out))),
      onEvent: teller(command, id, { bar, say }),
      signal,
    });
    bar.stop();
    say(reportInWords(report));
    say(path.resolve(out));
  } catch (error) {
    if (!(error instanceof DataError && error.param === "label_names")) throw error;
    throw new Error(asOption(error.message), { cause: error });
  } finally {
    bar.stop();
  }
}

/** The contract's words name the field of a request. */
function asOption(words: string): string {
  return words.replaceAll("label_names", "--label-names");
}

async function exampleFile(file: string, signal: AbortSignal): Promise<ExampleFile> {
  await expectFile(file);
  return { open: () => openDataSource(file, signal), sha256: await sha256OfFile(file, signal) };
}

/** What keeps it from being served is said by the report. */
const log = { info: () => undefined, warn: () => undefined };

type Telling = { bar: ProgressBar; say(line: string): void };

/** Says what is worth a line, and shows the rest on the bar. */
function teller(command: TuneCommand, base: string, { bar, say }: Telling) {
  let steps = 0;
  return (event: TuningEvent): void => {
    switch (event.kind) {
      case "choice":
        return say(choiceInWords(command, event.choice));
      case "resumed":
        return say(`goes on after step ${event.progress.step}`);
      case "data":
        for (const words of noticesOfData(event.report, command.labelNames ?? null)) {
          say(plain(`note: ${asOption(words)}`));
        }
        return;
      case "plan":
        ({ steps } = event.plan);
        return say(planWords(event, base));
      case "step":
        return bar.show("Training", event.progress.step, event.progress.steps ?? steps);
      case "shortened":
        return say(shortenedInWords(event, steps));
      case "unserved":
        return say(`not measured as it is served: ${event.why}`);
      case "evaluation":
        return say(scoreInWords(event.progress.step, event.score));
      case "read":
        return bar.show(`Reading ${event.total} texts`, event.done, event.total);
      case "trial":
        return say(`L2 ${event.trial.l2}: ${percent(event.trial.accuracy)}`);
      case "smaller":
        return say(smallerInWords(event.end));
      case "searched":
        return say(searchedInWords(event.trial));
      case "searchOver":
        return say(searchOverInWords(event));
      // The report says it.
      case "stopped":
      case "saved":
        return;
    }
  };
}

function shortenedInWords(
  { steps, evaluations, heldOut }: Extract<TuningEvent, { kind: "shortened" }>,
  planned: number,
): string {
  const fitting = `${steps} of ${planned} steps fit in the time: the rate falls to 0 by then`;
  return evaluations === null ? fitting : `${fitting}; ${evaluationsInWords(evaluations, heldOut)}`;
}

type Planned = Extract<TuningEvent, { kind: "plan" }>;

function planWords({ plan, hasHead, sizes: { examples } }: Planned, base: string) {
  if (plan.strategy !== "head") return planInWords(plan, hasHead);
  return `head: a linear classifier on the vectors of ${base}, of ${examples} examples`;
}

function choiceInWords({ strategy, maxSeconds }: TuneCommand, choice: Choice): string {
  const { strategy: chosen, layers, epochs, seconds } = choice;
  const what = chosen === "top-k" ? `top-k of ${counted(layers, "layer")}` : chosen;
  const passes = chosen === "head" ? "" : `, ${counted(epochs, "epoch")}`;
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

function searchedInWords({ result, options, steps, rounds }: SearchTrial): string {
  const { strategy, epochs, batch, learningRate } = options;
  return (
    `round ${result.round + 1} of ${rounds}: ${strategy}, rate ${learningRate}, ${epochs} epochs, batch ${batch}: ` +
    `${Math.abs(result.score).toFixed(4)} after ${steps} steps`
  );
}

function scoreInWords(step: number, { name, value, loss }: Score): string {
  return `step ${step}: ${metricName(name)} ${value.toFixed(4)}, loss ${loss.toFixed(4)}`;
}

function figure(value: number | null): string {
  return value === null ? "-" : value.toFixed(4);
}

function reportInWords(report: TrainingReport) {
  const { comparisons, held_out_rows: rows, stopped, verdict } = report;
  const table = formatTable(
    [`${rows} HELD-OUT EXAMPLES`, baseNames[report.base_kind].toUpperCase(), "TUNED"],
    comparisons.map(({ metric, base, tuned }) => [metricName(metric), figure(base), figure(tuned)]),
  );
  return `Ended because ${stopReasons[stopped.reason]}: ${stopped.detail}\n${table}\n${verdictSentence(verdict)}`;
}
