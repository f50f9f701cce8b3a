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
import type { TokenRow } from "./encode-texts.ts";
import { adapterClassifier, withNewAdapters, withNewHead } from "./new-head.ts";
import { runTraining } from "./run-training.ts";
import type { TrainingEnd, TrainingEvents } from "./run-training.ts";
import { loraScale } from "./start-tensors.ts";
import { openTrainStep } from "./train-step.ts";
import type { CostFacts } from "./training-cost.ts";
import { trainingGraphs } from "./training-graphs.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import type { LoraSizes, TrainingPlan } from "./training-plan.ts";
import { listTensors, saveTraining } from "./training-state.ts";
import type { SavedTraining, Tensors } from "./training-state.ts";
import type { EncodedData, TuningData } from "./training-task.ts";
import { planInWords, tuningCard } from "./tuning-card.ts";
import { TuningError } from "./tuning-error.ts";
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
};

/** Of the vectors that an adapter's classifier reads. */
const pooling = "mean";

type Base = {
  readonly id: string;
  readonly folder: string;
  /** Its name and its weights' digest, for adapters. */
  readonly upstream: Pick<AdapterHead, "baseName" | "baseDigest">;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
};

export type NamedBase = Pick<Base, "id" | "folder" | "upstream">;

/** @throws TuningError that says why the base cannot be trained */
async function readBase(named: NamedBase): Promise<Base> {
  const { id, folder } = named;
  const checkpoint = await readCheckpoint(folder).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new TuningError(`${id} cannot be trained: ${why}`, { cause: error });
  });
  if (checkpoint.format !== "safetensors") {
    throw new TuningError(
      `${id} is a ready-made ONNX file: only weights in safetensors are trained`,
    );
  }
  if (checkpoint.lowerCase) {
    throw new TuningError(`${id} has its texts put into lower case by sentence-transformers alone`);
  }
  const tokenizer = await loadTokenizer(folder, checkpoint);
  checkTokenizer(tokenizer, checkpoint);
  return { ...named, checkpoint, tokenizer };
}

/** @throws TuningError that says why the base cannot be trained; the signal's reason */
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
  return { ...base, data, encoded, facts: factsOf(checkpoint.weightsFile, shape, lengths) };
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
  const { checkpoint, data, encoded } = prepared;
  const { head, outputs } = data;
  const isLora = plan.strategy === "lora";
  if (isLora) expectServedAdapter(prepared);
  const stored = openSafetensors(checkpoint.weightsFile);
  const start = { outputs, seed: plan.seed };
  const { config } = checkpoint;
  const weights = isLora
    ? withNewAdapters(stored, config, { rank: plan.lora.rank, ...start })
    : withNewHead(stored, config, { head, ...start });
  try {
    const { task } = encoded.training.data;
    const graphs = trainingGraphs(config, weights, {
      task: isLora && task.name === "sequence-classification" ? { ...task, pooling } : task,
      isTrained: trainedBy(plan, tunedEncoder(config, head)),
      ...(isLora && { loraScale: loraScale(plan.lora) }),
    });
    const end = await train(options, weights, graphs);
    return await write(options, { weights, graphs, end });
  } finally {
    weights.close();
  }
}

/** @throws TuningError where an adapter on it would not be served */
function expectServedAdapter({ id, checkpoint, data }: PreparedTuning): void {
  if (data.task !== "text-classification") {
    throw new TuningError(`lora is not trained for ${data.task}: use --strategy full`);
  }
  if (checkpoint.head.name === "none") return;
  throw new TuningError(
    `${id} has a head already: an adapter needs a bare base; use --strategy full`,
  );
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
  { checkpoint, data, upstream }: PreparedTuning,
  out: string,
  { best, card, lora }: { best: Tensors; card: string; lora: LoraSizes },
): Promise<void> {
  const trained = memoryWeights(best);
  const adapter: AdapterHead = {
    task: "text-classification",
    labels: [...data.labels],
    problem: data.problem,
    pooling,
    maxLength: checkpoint.limits.maxTokens,
    licence: checkpoint.licence,
    entityModel: null,
    ...upstream,
    weight: readFloat32(trained, `${adapterClassifier}.weight`),
    bias: readFloat32(trained, `${adapterClassifier}.bias`),
  };
  const { prefix, adapted } = tunedEncoder(checkpoint.config, data.head);
  await writeAdapter(out, adapter, card, {
    ...lora,
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
  const card = tuningCard({ report, how: planInWords(plan), licence, labels: data.labels });
  if (plan.strategy === "lora")
    await writeLora(prepared, out, { best: end.best, card, lora: plan.lora });
  else {
    await writeCheckpoint(out, {
      base: { folder, config: checkpoint.config },
      head: data.head,
      labels: data.labels,
      problem: data.problem,
      maxTokens: checkpoint.limits.maxTokens,
      weights: tuned,
      names: graphs.read,
      card,
    });
  }
  await rm(stateFolderOf(out), { recursive: true, force: true });
  return report;
}
