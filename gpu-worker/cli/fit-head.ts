/**
 * `npm run model -- fit-head`: fits a classifier on the vectors of a frozen base and writes it as an adapter folder.
 * Says before and after: what always naming the commonest label would reach, and what the head reaches on held-out
 * texts (fit/hold-out.ts), in both forms the base is computed in.
 */
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { type BaseModel, describeBase, findBase } from "../catalog/base-model.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { type AdapterHead, writeAdapter } from "../checkpoints/adapter-folder.ts";
import { accuracyOf, type Choice, chooseL2, usualL2 } from "../fit/choose-l2.ts";
import { fitHead } from "../fit/fit-head.ts";
import { type HoldOut, holdOut, usualHoldOut } from "../fit/hold-out.ts";
import type { FieldNames, LabelledText } from "../fit/labelled-texts.ts";
import type { LabelledRows } from "../fit/softmax-loss.ts";
import type { Runtime } from "../runtime/session.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import { calibrate, calibrationKey } from "../compute-form/calibrate.ts";
import { openFormChoice } from "../compute-form/form-choice.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { type BaseVectors, encodeFeatures, type FrozenBase } from "../training/encode-features.ts";
import { encodeTexts, type TokenRow } from "../training/encode-texts.ts";
import { type HeadFigures, headCard, percent } from "./head-card.ts";
import { type LabelledFiles, readLabelledFiles } from "./labelled-files.ts";
import { openProgressBar, type ProgressBar } from "./progress-bar.ts";

export type FitHeadCommand = {
  /** Id or hub name of a model that makes sentence vectors. */
  base: string;
  /** JSON Lines. */
  data: readonly string[];
  out: string;
  /** Whether what the folder holds may be written over. */
  force: boolean;
  names: FieldNames;
  licence: string | null;
  /** Null: chosen by the held-out texts. */
  l2: number | null;
  /** The words after `npm run model --`, for the card. */
  words: string;
};

export type FitHeadTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  signal: AbortSignal;
  stream: NodeJS.WriteStream;
  say(line: string): void;
};

/** @throws Error that says what is wrong with the data or the base, and what to do */
export async function runFitHead(command: FitHeadCommand, tools: FitHeadTools): Promise<void> {
  if (!command.force) await expectEmpty(command.out);
  const data = await readLabelledFiles(command.data, command.names);
  const labels = labelsOf(data.rows, data.files);
  const bar = openProgressBar(tools.stream);
  try {
    const fitted = await fit({ ...data, labels }, command, { ...tools, bar });
    const { adapter, figures } = fitted;
    await writeAdapter(
      command.out,
      adapter,
      headCard(path.basename(command.out), adapter, figures),
    );
    bar.stop();
    for (const line of reportOf(figures)) tools.say(line);
    tools.say(path.resolve(command.out));
  } finally {
    bar.stop();
  }
}

/** @throws Error where something would be written over; looked for first, since fitting takes minutes */
async function expectEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") throw new Error(`${folder} is no folder: choose another --out`);
    throw error;
  });
  if (names.length === 0) return;
  throw new Error(
    `${folder} is not empty: choose another --out, or write over the adapter in it with --force`,
  );
}

/** In alphabetic order. A label of few rows is no error: it may still be told. */
function labelsOf(rows: readonly LabelledText[], files: LabelledFiles["files"]): string[] {
  const labels = [...new Set(rows.map(({ label }) => label))].toSorted();
  if (labels.length >= 2) return labels;
  const names = files.map(({ name }) => name).join(", ");
  const [only] = labels;
  const problem = only === undefined ? "there are no rows" : `every row is labelled ${only}`;
  throw new Error(`${names}: ${problem}; give rows of two labels or more`);
}

type Working = FitHeadTools & { bar: ProgressBar };

async function fit(
  { rows, files, labels }: LabelledFiles & { labels: string[] },
  command: FitHeadCommand,
  tools: Working,
): Promise<{ adapter: AdapterHead; figures: HeadFigures }> {
  const split = holdOut(
    rows.map(({ text }) => text),
    usualHoldOut,
  );
  const base = await findBase(command.base, tools.settings);
  const upstream = await describeBase(base, tools.signal);
  const frozen = await readFrozen(rows, base, tools.signal);
  const encoded = (form: "f32" | "int8", indices: readonly number[]) =>
    encode(frozen, indices, { ...tools, form });
  const vectors = await encoded("f32", [...rows.keys()]);
  const all = labelled(rows, vectors, labels);
  const heldOut = pick(all, split.heldOut);
  const choice = await choose(all, split, { command, tools, classCount: labels.length });
  const asInt8 = await encoded("int8", split.heldOut);
  const { weight, bias } = await fitAll(all, { choice, tools });
  const figures = {
    majority: majorityOf(heldOut, labels.length),
    accuracy: {
      f32: accuracyOf(choice.head, heldOut),
      int8: accuracyOf(choice.head, { ...heldOut, features: asInt8.features }),
    },
    l2: choice.l2,
    chosen: command.l2 === null,
    rows: rows.length,
    heldOut: split.heldOut.length,
    data: files,
    command: command.words,
  };
  const adapter: AdapterHead = {
    task: "text-classification",
    labels,
    problem: "single_label",
    pooling: vectors.pooling,
    maxLength: frozen.checkpoint.limits.maxTokens,
    licence: command.licence,
    entityModel: null,
    ...upstream,
    weight,
    bias,
  };
  return { adapter, figures };
}

type Frozen = FrozenBase & { tokens: readonly TokenRow[] };

async function readFrozen(
  rows: readonly LabelledText[],
  { known, folder }: BaseModel,
  signal: AbortSignal,
): Promise<Frozen> {
  const { id } = known;
  const checkpoint = await readCheckpoint(folder);
  const tokenizer = await loadTokenizer(folder, checkpoint);
  const model = { id, tokenizer, limits: checkpoint.limits };
  const texts = rows.map(({ text }) => text);
  return { id, checkpoint, tokens: await encodeTexts(texts, model, signal) };
}

async function encode(
  frozen: Frozen,
  indices: readonly number[],
  { settings, runtime, signal, bar, form }: Working & { form: "f32" | "int8" },
): Promise<BaseVectors> {
  const { stateFolder } = settings;
  const forms = openFormChoice({
    setting: form,
    stateFolder,
    machine: calibrationKey(runtime),
    measure: (stop) => calibrate(runtime, stop),
    log: { info: () => undefined, warn: () => undefined },
  });
  await mkdir(stateFolder, { recursive: true });
  const tools = { form: await forms.choose(signal), runtime, folder: stateFolder, signal };
  const rows = indices.flatMap((at) => frozen.tokens[at] ?? []);
  const words = `Reading ${rows.length} texts by ${frozen.id} in ${form}`;
  bar.show(words, 0, rows.length);
  return encodeFeatures(rows, frozen, tools, (done) => bar.show(words, done, rows.length));
}

function labelled(
  rows: readonly LabelledText[],
  { features, width }: BaseVectors,
  labels: readonly string[],
): LabelledRows {
  const classOf = new Map(labels.map((label, at) => [label, at]));
  const classes = Uint16Array.from(rows, ({ label }) => classOf.get(label) ?? 0);
  return { features, width, classes };
}

function pick({ features, width, classes }: LabelledRows, indices: readonly number[]) {
  const picked = {
    features: new Float32Array(indices.length * width),
    width,
    classes: Uint16Array.from(indices, (at) => classes[at] ?? 0),
  };
  for (const [row, at] of indices.entries()) {
    picked.features.set(features.subarray(at * width, (at + 1) * width), row * width);
  }
  return picked;
}

function majorityOf({ classes }: LabelledRows, classCount: number): number {
  const counts = new Uint32Array(classCount);
  for (const each of classes) counts[each] = (counts[each] ?? 0) + 1;
  return Math.max(...counts) / classes.length;
}

function choose(
  all: LabelledRows,
  split: HoldOut,
  parts: { command: FitHeadCommand; tools: Working; classCount: number },
): Promise<Choice> {
  const { command, tools, classCount } = parts;
  const { signal, bar, say } = tools;
  const candidates = command.l2 === null ? usualL2 : [command.l2];
  bar.show("Choosing L2 by the held-out texts", 0, candidates.length);
  let tried = 0;
  return chooseL2(pick(all, split.training), pick(all, split.heldOut), {
    classCount,
    candidates,
    signal,
    onTrial({ l2, accuracy }) {
      say(`L2 ${l2}: ${percent(accuracy)}`);
      bar.show("Choosing L2 by the held-out texts", (tried += 1), candidates.length);
    },
  });
}

/** The head on all rows, from where the one on the training rows ended. */
function fitAll(all: LabelledRows, { choice, tools }: { choice: Choice; tools: Working }) {
  const { l2, head } = choice;
  const { signal, bar } = tools;
  const iterationsMax = 500;
  const onIteration = (done: number) => bar.show("Fitting on all texts", done, iterationsMax);
  onIteration(0);
  const classCount = head.bias.length;
  return fitHead(all, { classCount, l2, start: head, iterationsMax, signal, onIteration });
}

function reportOf({ majority, accuracy, l2, rows, heldOut }: HeadFigures): string[] {
  return [
    `${rows} texts, L2 ${l2}; accuracy on ${heldOut} held-out texts:`,
    `  always the commonest label  ${percent(majority)}`,
    `  this head, base in f32      ${percent(accuracy.f32)}`,
    `  this head, base in int8     ${percent(accuracy.int8)}`,
  ];
}
