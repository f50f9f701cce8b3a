/**
 * An encoder from a base's folder and examples of a task: trained by the loop, then written with its report into a
 * folder that is served as it is. What a command and a job both call.
 */
import { mkdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { attentionOf, tunedEncoder } from "../architectures/encoder.ts";
import type { TunedEncoder } from "../architectures/tuned-encoder.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { writeAdapter } from "../checkpoints/adapter-folder.ts";
import type { AdapterHead } from "../checkpoints/adapter-folder.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { makeReport } from "../evaluation/make-report.ts";
import type { Runtime } from "../runtime/session.ts";
import { elementCount } from "../tensor/shape.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { learntTask } from "./adapter-task.ts";
import type { LearntTask } from "./adapter-task.ts";
import { loraRate } from "./choose-plan.ts";
import type { TokenRow } from "./encode-texts.ts";
import { adapterClassifier, loraOptions, withNewAdapters, withNewHead } from "./new-head.ts";
import { runTraining } from "./run-training.ts";
import type { TrainingEnd, TrainingEvents } from "./run-training.ts";
import { loraScale } from "./start-tensors.ts";
import { openTrainStep } from "./train-step.ts";
import type { CostFacts } from "./training-cost.ts";
import { trainingGraphs } from "./training-graphs.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { listTensors, saveTraining } from "./training-state.ts";
import type { SavedTraining, Tensors } from "./training-state.ts";
import type { EncodedData, TuningData } from "./training-task.ts";
import { planInWords, tuningCard } from "./tuning-card.ts";
import { writeCheckpoint } from "./write-checkpoint.ts";
import { writeReport } from "./write-report.ts";

export type TuneOptions = {
  readonly prepared: PreparedTuning;
  readonly plan: TrainingPlan;
  /** Where the training was interrupted; null: it begins. */
  readonly from: SavedTraining | null;
  /** Of the tuned model. */
  readonly name: string;
  /** Its folder. */
  readonly out: string;
  /** Of all that decides the result, so that a state is taken up by the same training alone. */
  readonly fingerprint: string;
  readonly saveEverySeconds: number;
  readonly runtime: Runtime;
  readonly events: TrainingEvents & { onSave(step: number): void };
  readonly now: () => number;
  readonly signal: AbortSignal;
};

/** All that is known before it is decided how to train. */
export type PreparedTuning = Base & {
  readonly data: TuningData;
  readonly encoded: EncodedData;
  readonly facts: CostFacts;
  /** Whether it learns to read words' shapes, as taggers do that are given no case. */
  readonly wordShapes: boolean;
};

type Base = {
  readonly id: string;
  readonly folder: string;
  /** Its name and its weights' digest, for adapters. */
  readonly upstream: Pick<AdapterHead, "baseName" | "baseDigest">;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
};

export type NamedBase = Pick<Base, "id" | "folder" | "upstream">;

/** @throws Error that says why the base cannot be trained */
async function readBase(named: NamedBase): Promise<Base> {
  const { id, folder } = named;
  const checkpoint = await readCheckpoint(folder);
  if (checkpoint.format !== "safetensors") {
    throw new Error(`${id} is a ready-made ONNX file: only weights in safetensors are trained`);
  }
  if (checkpoint.lowerCase) {
    throw new Error(`${id} has its texts put into lower case by sentence-transformers alone`);
  }
  const tokenizer = await loadTokenizer(folder, checkpoint);
  checkTokenizer(tokenizer, checkpoint);
  return { ...named, checkpoint, tokenizer };
}

/** @throws Error that says why the base cannot be trained; the signal's reason */
export async function prepareTuning(
  of: NamedBase,
  data: TuningData,
  signal: AbortSignal,
): Promise<PreparedTuning> {
  const base = await readBase(of);
  const { checkpoint, tokenizer, id } = base;
  const model = { id, tokenizer, limits: checkpoint.limits };
  const encoded = await data.encode(model, signal);
  const lengths = {
    training: encoded.training.rows.map(lengthOf),
    heldOut: encoded.heldOut.rows.map(lengthOf),
  };
  const shape = {
    ...attentionOf(checkpoint.config),
    layers: tunedEncoder(checkpoint.config, data.head).layerCount,
  };
  const facts = factsOf(checkpoint.weightsFile, shape, lengths);
  const readsTags = data.task === "token-classification";
  if (checkpoint.wordShapes && !readsTags) {
    throw new Error(`${id} reads words' shapes: it is tuned for token-classification alone`);
  }
  const wordShapes = checkpoint.wordShapes || (readsTags && tokenizer.lowersCase);
  return { ...base, data, encoded, facts, wordShapes };
}

const lengthOf = ({ ids }: TokenRow) => ids.length;

function factsOf(
  weightsFile: string,
  { layers, hidden, intermediate, heads }: Omit<CostFacts, "parameters" | "lengths">,
  lengths: CostFacts["lengths"],
): CostFacts {
  const source = openSafetensors(weightsFile);
  try {
    const counts = source.names().map((name) => elementCount(source.entry(name)?.shape ?? []));
    const parameters = counts.reduce((sum, count) => sum + count, 0);
    return { layers, hidden, intermediate, heads, parameters, lengths };
  } finally {
    source.close();
  }
}

export async function tuneEncoder(options: TuneOptions): Promise<TrainingReport> {
  const { plan, prepared } = options;
  const { checkpoint, data, encoded, wordShapes } = prepared;
  const { head, outputs } = data;
  const adapter = plan.strategy === "lora" ? adapterFor(prepared) : null;
  const stored = openSafetensors(checkpoint.weightsFile);
  const start = { outputs, seed: plan.seed, wordShapes };
  const { config } = checkpoint;
  const weights =
    adapter === null
      ? withNewHead(stored, config, { head, ...start })
      : withNewAdapters(stored, config, { vectors: adapter.vectors, ...start });
  try {
    const { task } = encoded.training.data;
    const graphs = trainingGraphs(config, weights, {
      task: adapter?.graphTask(task) ?? task,
      isTrained: trainedBy(plan, tunedEncoder(config, head)),
      shapesRate: adapter === null ? shapesRate : shapesRate / loraRate,
      ...(adapter !== null && { loraScale: loraScale(loraOptions) }),
    });
    const end = await train(options, weights, graphs);
    return await write(options, { weights, graphs, end });
  } finally {
    weights.close();
  }
}

/** A table of word shapes begins at zero, and has few rows, each read often. */
const shapesRate = 10;

/** @throws Error where an adapter on it would not be served */
function adapterFor({ id, checkpoint, data }: PreparedTuning): LearntTask {
  const learnt = learntTask(data.task);
  if (checkpoint.head.name === "none") return learnt;
  throw new Error(`${id} has a head already: an adapter needs a bare base; use --strategy full`);
}

function isOfAdapter(name: string): boolean {
  return name.startsWith(peftPrefix) || name.startsWith(`${adapterClassifier}.`);
}

/** Which tensors a strategy trains. */
function trainedBy({ strategy, layers }: TrainingPlan, { isOfLast }: TunedEncoder) {
  if (strategy === "lora") return isOfAdapter;
  return strategy === "top-k" ? (name: string) => isOfLast(name, layers) : () => true;
}

/** In the folder that is written to, until the training has ended. */
export const stateFolder = "training-state";

export function stateFolderOf(out: string): string {
  return path.join(out, stateFolder);
}

async function train(
  options: TuneOptions,
  weights: WeightSource,
  graphs: TrainingGraphs,
): Promise<TrainingEnd> {
  const { prepared, plan, from, out, runtime, signal, now, events, fingerprint } = options;
  const { encoded, tokenizer } = prepared;
  const folder = stateFolderOf(out);
  const work = path.join(folder, "graphs");
  // One that was killed has left its graphs behind.
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const { update, evaluation, trained } = graphs;
  const step = await openTrainStep({ runtime, update, evaluation, weights, folder: work, signal });
  try {
    return await runTraining({
      plan,
      step,
      trained,
      paddingId: tokenizer.paddingId ?? 0,
      ...encoded,
      from,
      save: async (state) => {
        await saveTraining(folder, { ...state, plan }, fingerprint);
        events.onSave(state.progress.step);
      },
      saveEverySeconds: options.saveEverySeconds,
      events,
      now,
      signal,
    });
  } finally {
    await step.release();
  }
}

async function writeLora(
  { checkpoint, data, upstream, wordShapes }: PreparedTuning,
  out: string,
  { best, card }: { best: Tensors; card: string },
): Promise<void> {
  const trained = memoryWeights(best);
  const { task, pooling } = learntTask(data.task);
  const adapter: AdapterHead = {
    task,
    labels: [...data.labels],
    problem: data.problem,
    pooling,
    maxLength: checkpoint.limits.maxTokens,
    licence: checkpoint.licence,
    entityModel: null,
    wordShapes,
    decoding: task === "token-classification" ? "iob2" : null,
    ...upstream,
    weight: readFloat32(trained, `${adapterClassifier}.weight`),
    bias: readFloat32(trained, `${adapterClassifier}.bias`),
  };
  const { prefix, adapted } = tunedEncoder(checkpoint.config, data.head);
  await writeAdapter(out, adapter, card, {
    ...loraOptions,
    targets: adapted.map((name) => `${prefix}${name}`),
    tensors: listTensors(best).filter(({ name }) => name.startsWith(peftPrefix)),
  });
}

async function write(
  { prepared, plan, name, out }: TuneOptions,
  { weights, graphs, end }: { weights: WeightSource; graphs: TrainingGraphs; end: TrainingEnd },
): Promise<TrainingReport> {
  const { id, folder, checkpoint, data } = prepared;
  const tuned = layeredWeights(memoryWeights(end.best), weights);
  const tensorBytes = (tensor: string) =>
    4 * (tuned.entry(tensor)?.shape ?? []).reduce((a, b) => a * b, 1);
  const report = makeReport({
    task: data.task,
    base_model: id,
    tuned_model: name,
    base_kind: "majority",
    form: "f32",
    training_rows: data.examples,
    stopped: end.stopped,
    heldOut: end.heldOut,
    target: null,
    steps: end.progress.metrics,
    sizes: [],
    latency: { base: null, tuned: null },
    size: {
      base_bytes: (await stat(checkpoint.weightsFile)).size,
      tuned_bytes: (plan.strategy === "lora" ? graphs.trained : graphs.read)
        .map(tensorBytes)
        .reduce((a, b) => a + b, 0),
    },
  });
  await writeReport(out, report, end.progress.metrics);
  const { licence } = checkpoint;
  const card = tuningCard({
    report,
    how: planInWords(plan),
    licence,
    labels: data.labels,
    library: plan.strategy === "lora" ? "peft" : "transformers",
    wordShapes: prepared.wordShapes,
  });
  if (plan.strategy === "lora") await writeLora(prepared, out, { best: end.best, card });
  else {
    await writeCheckpoint(out, {
      base: { folder, config: checkpoint.config },
      head: data.head,
      labels: data.labels,
      problem: data.problem,
      maxTokens: checkpoint.limits.maxTokens,
      wordShapes: prepared.wordShapes,
      weights: tuned,
      names: graphs.read,
      card,
    });
  }
  await rm(stateFolderOf(out), { recursive: true, force: true });
  return report;
}
