/**
 * Training beside PyTorch: the same MiniLM-L6, batches, dropout, AdamW and clip on the same threads, each side in
 * processes of its own, by turns. `npm run bench -- train` takes steps of 16 texts of 64 tokens; `train conll` the
 * recipe of CoNLL-2003 (3 epochs in batches of 32), of which each side does as much as its minutes allow: what is more
 * is extrapolated, and its row says so.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { measureGemm } from "../gpu-worker/runtime/measure-gemm.ts";
import { openRuntime } from "../gpu-worker/runtime/open-runtime.ts";
import { readCheckpoint } from "../gpu-worker/checkpoints/checkpoint.ts";
import { openDataSource } from "../gpu-worker/cli/data-source.ts";
import { loadTokenizer } from "../gpu-worker/tokenizer/tokenizer.ts";
import { readTrainingData } from "../gpu-worker/training/read-training-data.ts";
import { batchesOf } from "../gpu-worker/training/batches.ts";
import { encodeTagged } from "../gpu-worker/training/token-rows.ts";
import { tagsOf, tagTask } from "../gpu-worker/training/token-tags.ts";
import { type Bench, type BenchContext, comparedRow, plainRow, type Row } from "./bench.ts";
import { sharedFolder } from "./harness/corpus.ts";
import { threads } from "./harness/embedder.ts";
import { miniLmL6, operationsOf } from "./harness/encoder-operations.ts";
import { checkpointFolder } from "./harness/fetch-checkpoint.ts";
import { median } from "./harness/http-load.ts";
import { peerPython, peerScript, runPeer } from "./harness/peer-process.ts";
import { TrainingFigures, type TrainingOrder } from "./harness/training-batches.ts";

const model = "all-MiniLM-L6-v2";
const stateFolder = path.resolve(import.meta.dirname, "..", ".bench", "train");
const script = path.join(import.meta.dirname, "harness", "train-steps.ts");
const pytorch = "pytorch";
const now = () => performance.now();

const ours = (order: TrainingOrder, signal: AbortSignal) =>
  runPeer({ program: process.execPath, args: [script], input: order }, TrainingFigures, signal);

/** Null: it is not here. */
async function theirs(order: TrainingOrder, { print, signal }: BenchContext) {
  const program = peerPython("train");
  if (program === null) {
    print("pytorch: not here (bench/peers/install-python.sh train installs it)");
    return null;
  }
  return await runPeer(
    { program, args: [peerScript("train.py")], input: order },
    TrainingFigures,
    signal,
  );
}

const [texts, tokens, classes, steps, rounds] = [16, 64, 2, 24, 2];

/** Made-up texts of one length. */
function evenBatches(): TrainingOrder["batches"] {
  return Array.from({ length: steps }, (_, step) => ({
    ids: Array.from({ length: texts }, (__, text) =>
      Array.from(
        { length: tokens },
        (___, at) => 1_000 + ((at * 37 + text * 991 + step * 13) % 20_000),
      ),
    ),
    mask: Array.from({ length: texts }, () => Array.from({ length: tokens }, () => 1)),
    labels: Array.from({ length: texts }, (__, text) => (text + step) % classes),
  }));
}

type Timed = {
  readonly best: number;
  readonly median: number;
  readonly cpu: number;
  readonly peak: number;
};

/** Of all rounds. The first step of each lays memory out. */
function timesOf(all: readonly TrainingFigures[]): Timed {
  const seconds = all.flatMap((figures) => figures.seconds.slice(1));
  const taken = all.reduce((sum, figures) => sum + figures.seconds.length, 0);
  return {
    best: Math.min(...seconds),
    median: median(seconds),
    cpu: all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / taken,
    peak: Math.max(...all.map(({ peakBytes }) => peakBytes)),
  };
}

async function measureSpeed(folder: string, context: BenchContext): Promise<Row[]> {
  const { print, signal } = context;
  const runtime = await openRuntime({ log: { info: () => {}, warn: console.warn }, threads });
  print(runtime.describe());
  const limitOf = () =>
    measureGemm(runtime, { dtype: "float32", threads, rows: texts * tokens, now, signal });
  const order: TrainingOrder = {
    folder,
    task: "sequence-classification",
    classes,
    threads,
    learningRate: 2e-4,
    batches: evenBatches(),
    secondsMax: 60,
  };
  const own: TrainingFigures[] = [];
  const peers: TrainingFigures[] = [];
  const limits = [await limitOf()];
  for (let round = 0; round < rounds; round += 1) {
    own.push(await ours(order, signal));
    const peer = await theirs(order, context);
    if (peer !== null) peers.push(peer);
    limits.push(await limitOf());
  }
  const timed = timesOf(own);
  // Forward, and the gradients by weights and by inputs.
  const reached =
    (3 * texts * operationsOf(tokens, { ...miniLmL6, readsFirst: true })) / timed.best / 1e9;
  const limit = Math.max(...limits);
  print(
    `best step ${(timed.best * 1000).toFixed(0)} ms: ${reached.toFixed(0)} of ${limit.toFixed(0)} GOP/s`,
  );
  return rowsBeside(timed, peers.length === 0 ? null : timesOf(peers), reached / limit);
}

function rowsBeside(own: Timed, peer: Timed | null, limitFraction: number): Row[] {
  const row = (name: string, unit: string, of: (timed: Timed) => number) =>
    peer === null
      ? plainRow(name, unit, of(own))
      : comparedRow(name, unit, of(own), { name: pytorch, value: of(peer) });
  return [
    { ...row("step of 16 × 64, best", "steps/s", ({ best }) => 1 / best), limitFraction },
    row("step of 16 × 64, median", "steps/s", (timed) => 1 / timed.median),
    row("CPU time of a step", "ms", ({ cpu }) => cpu * 1000),
    row("peak memory", "MiB", ({ peak }) => peak / 2 ** 20),
  ];
}

const recipe = { batch: 32, epochs: 3, learningRate: 2e-4 } as const;
/** Of our side, and of each order of PyTorch's batches: in all less than nine minutes. */
const [ownSeconds, peerSeconds] = [360, 55];

type Batches = TrainingOrder["batches"];

/** Batches of an epoch, as `tune` makes them, of texts of like lengths; `shuffled` as PyTorch's users do. */
async function conllBatches(folder: string, signal: AbortSignal) {
  const file = path.join(sharedFolder, "data", "conll2003", "train.jsonl");
  if (!existsSync(file)) throw new Error(`needs ${file}`);
  const files = {
    training: () => openDataSource(file, signal),
    validation: () => openDataSource(file, signal),
  };
  const read = await readTrainingData(files, { seed: 0, signal });
  if (read.task !== "token-classification") throw new TypeError(`CoNLL is no ${read.task}`);
  const checkpoint = await readCheckpoint(folder);
  const tokenizer = await loadTokenizer(folder, checkpoint);
  const labels = tagsOf(read.data.kinds);
  const { rows, data } = tagTask(
    await encodeTagged(read.data.training, { tokenizer, limits: checkpoint.limits }, signal),
    labels,
  );
  const batchOf = (indices: readonly number[]): Batches[number] => {
    const own = indices.flatMap((at) => rows[at] ?? []);
    const longest = Math.max(...own.map(({ ids }) => ids.length));
    const padded = (values: readonly number[]) => [
      ...values,
      ...Array.from({ length: longest - values.length }, () => 0),
    ];
    const tags = data.feeds(indices, longest, 0)["labels"]?.data ?? [];
    return {
      ids: own.map(({ ids }) => padded(ids)),
      mask: own.map(({ ids }) => padded(ids.map(() => 1))),
      labels: own.map((_, row) =>
        Array.from(tags.slice(row * longest, (row + 1) * longest), Number),
      ),
    };
  };
  const lengths = rows.map(({ ids }) => ids.length);
  const make = (of: readonly number[]) =>
    Array.from({ length: recipe.epochs }, (_, epoch) =>
      batchesOf(of, { size: recipe.batch, seed: 0, epoch }).map(batchOf),
    ).flat();
  return { classes: labels.length, sorted: make(lengths), shuffled: make(lengths.map(() => 1)) };
}

/** Seconds of all steps, of those that were taken: batches come in no order of length. */
function wholeSeconds({ seconds }: TrainingFigures, planned: number) {
  const taken = seconds.reduce((sum, each) => sum + each, 0);
  const isWhole = seconds.length === planned;
  const words = isWhole ? "" : ` (extrapolated from ${seconds.length} of ${planned} steps)`;
  return { seconds: (taken * planned) / seconds.length, words };
}

async function measureConll(folder: string, context: BenchContext): Promise<Row[]> {
  const { print, signal } = context;
  const { classes: tags, sorted, shuffled } = await conllBatches(folder, signal);
  const order = (batches: Batches, secondsMax: number): TrainingOrder => ({
    folder,
    task: "token-classification",
    classes: tags,
    threads,
    learningRate: recipe.learningRate,
    batches,
    secondsMax,
  });
  const own = await ours(order(sorted, ownSeconds), signal);
  const like = await theirs(order(sorted, peerSeconds), context);
  const usual = await theirs(order(shuffled, peerSeconds), context);
  const whole = wholeSeconds(own, sorted.length);
  print(`loss ${own.losses[0]?.toFixed(2)} at first, ${own.losses.at(-1)?.toFixed(3)} at last`);
  const row = (name: string, peer: TrainingFigures | null): Row => {
    if (peer === null) return plainRow(`${name}${whole.words}`, "s", whole.seconds);
    const { seconds, words } = wholeSeconds(peer, sorted.length);
    const named = { name: `${pytorch}${words}`, value: seconds };
    return comparedRow(`${name}${whole.words}`, "s", whole.seconds, named);
  };
  return [
    row("CoNLL-2003, 3 epochs, pytorch on our batches", like),
    row("CoNLL-2003, 3 epochs, pytorch on shuffled batches", usual),
  ];
}

export const bench: Bench = {
  summary: "training steps of MiniLM beside PyTorch and the GEMM limit; `conll`: a whole recipe",
  run: async (context) => {
    const [what] = context.args;
    if (what !== undefined && what !== "conll") throw new Error(`train takes conll, not ${what}`);
    const folder = await checkpointFolder(model, stateFolder, context);
    return what === "conll" ? measureConll(folder, context) : measureSpeed(folder, context);
  },
};
