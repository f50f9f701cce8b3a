/**
 * An encoder from a base's folder and examples of a task: trained by the loop, then written with its report into a
 * folder that is served as it is. What a command and a job both call.
 */
import { stat } from "node:fs/promises";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { wordTable } from "../architectures/embedding.ts";
import { prefixesOf, sizesOf, takesAdapters, tunedEncoder } from "../architectures/encoder.ts";
import type { TunedEncoder } from "../architectures/tuned-encoder.ts";
import { peftPrefix } from "../architectures/trainable-layers.ts";
import { writeAdapter } from "../checkpoints/adapter-folder.ts";
import type { AdapterHead, TrainedLora } from "../checkpoints/adapter-folder.ts";
import type { TrainedPrompt } from "../checkpoints/soft-prompt-config.ts";
import type { TensorToWrite } from "../weights/safetensors-writer.ts";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { learntTask } from "./adapter-task.ts";
import type { LearntTask } from "./adapter-task.ts";
import { loraRate } from "./choose-plan.ts";
import { type Classifier } from "./continued.ts";
import { ofExamples, type SmallerRun } from "./label-curve.ts";
import { encoderMeasurement } from "./measure-encoder.ts";
import { withNewAdapters, withNewClassifier, withNewHead } from "./new-head.ts";
import { withReadWords, withWholeTable } from "./read-words.ts";
import type { ReadWords } from "./read-words.ts";
import type { TrainingEnd } from "./run-training.ts";
import { examplesBehind, initialTokens, withSoftPrompt } from "./soft-prompt.ts";
import { loraScale } from "./start-tensors.ts";
import { finishingOf, smallerRun, trainInFolder } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import { trainingGraphs } from "./training-graphs.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import { isAdapterStrategy, type TrainingPlan } from "./training-plan.ts";
import { bytesOf, finishTuning } from "./training-report.ts";
import { listTensors } from "./training-state.ts";
import type { Tensors } from "./training-state.ts";
import type { EncodedData } from "./training-task.ts";
import { planInWords, tuningCard } from "./tuning-card.ts";
import { TuningError } from "./tuning-error.ts";
import { writeCheckpoint } from "./write-checkpoint.ts";
import type { PreparedTuning } from "./prepare-encoder.ts";

export type TuneOptions = TrainingRun & { readonly prepared: PreparedTuning };

export async function tuneEncoder(options: TuneOptions): Promise<TrainingReport> {
  return await trainedEncoder(options, (trained) => write(options, trained));
}

/** Trained alike: nothing is written but its state. */
export async function tryEncoder(options: TuneOptions): Promise<TrainingEnd> {
  return await trainedEncoder(options, async ({ end }) => end);
}

type Trained = {
  readonly weights: WeightSource;
  readonly graphs: TrainingGraphs;
  readonly end: TrainingEnd;
};

async function trainedEncoder<T>(
  options: TuneOptions,
  use: (trained: Trained) => Promise<T>,
): Promise<T> {
  const { plan, prepared } = options;
  const { checkpoint, data, encoded } = prepared;
  const { head } = data;
  const { config } = checkpoint;
  const adapter = isAdapterStrategy(plan.strategy) ? adapterFor(prepared) : null;
  const stored = openSafetensors(checkpoint.weightsFile);
  let weights: WeightSource = stored;
  try {
    weights = await withStarted(options, stored, adapter);
    const { task } = encoded.training.data;
    const paddingId = prepared.tokenizer.paddingId ?? 0;
    const isTrained =
      adapter === null ? trainedBy(plan, tunedEncoder(config, head)) : isOf(adapter);
    const read = readWordsOf(prepared, weights, isTrained);
    const begun = read === null ? weights : withReadWords(weights, read);
    const graphs = trainingGraphs(config, begun, {
      task: adapter?.graphTask(task) ?? task,
      isTrained,
      labelSmoothing: plan.labelSmoothing,
      shapesRate: adapter === null ? shapesRate : shapesRate / loraRate,
      ...(adapter !== null && {
        loraScale: loraScale(plan.lora),
        head: { layer: adapter.classifier, rate: adapter.headRate },
      }),
      ...(read !== null && { words: read.words }),
    });
    const end = await trainInFolder(options, {
      graphs,
      weights: begun,
      paddingId,
      examples: plan.strategy === "soft-prompt" ? behindPrompt(prepared, plan) : encoded,
    });
    const best = read === null ? end.best : withWholeTable(end.best, weights, read);
    return await use({ weights, graphs, end: { ...end, best } });
  } finally {
    weights.close();
  }
}

/**
 * `stored` with what it lacks for this training. Closing it closes `stored`.
 * @param adapter null: a whole checkpoint is trained
 */
async function withStarted(
  options: TuneOptions,
  stored: WeightSource,
  adapter: LearntTask | null,
): Promise<WeightSource> {
  const { plan, prepared } = options;
  const { checkpoint, data, start, wordShapes } = prepared;
  const { config } = checkpoint;
  const { head, labels, outputs } = data;
  const started = { outputs, labels, seed: plan.seed, wordShapes };
  if (adapter === null) {
    return withNewHead(stored, config, { head, before: headBefore(prepared, stored), ...started });
  }
  if (plan.strategy === "soft-prompt") return await prompted(stored, options, adapter);
  const { vectors, classifier } = adapter;
  const { rank } = plan.lora;
  return withNewAdapters(stored, config, {
    rank,
    vectors,
    classifier,
    before: start,
    ...started,
  });
}

/** Null: the whole table of words is read, or it is not trained. */
function readWordsOf(
  { checkpoint: { config }, data: { head }, words }: PreparedTuning,
  weights: WeightSource,
  isTrained: (name: string) => boolean,
): ReadWords | null {
  const names = prefixesOf(config).map((prefix) => prefix + wordTable);
  const table = names.find((name) => weights.entry(name) !== null);
  const isWhole = head === "masked-lm" || words.length + 1 >= sizesOf(config).vocabulary;
  return table === undefined || isWhole || !isTrained(table) ? null : { table, words };
}

/** A table of word shapes begins at zero, and has few rows, each read often. */
const shapesRate = 10;

/** @throws TuningError where an adapter on it would not be served */
function adapterFor({ id, checkpoint, data }: PreparedTuning): LearntTask {
  const learnt = learntTask(data.task);
  if (!takesAdapters(checkpoint.config)) {
    throw new TuningError(`no adapter is served on ${id}: use --strategy full`, {
      param: "strategy",
    });
  }
  if (checkpoint.head.name === "none") return learnt;
  throw new TuningError(
    `${id} has a head already: an adapter needs a bare base; use --strategy full`,
    { param: "strategy" },
  );
}

/** Which tensors an adapter trains. */
function isOf({ classifier }: LearntTask) {
  return (name: string) =>
    name === promptTable || name.startsWith(peftPrefix) || name.startsWith(`${classifier}.`);
}

/** The base with a soft prompt, and a classifier on what it makes of texts behind it. */
async function prompted(
  stored: WeightSource,
  { prepared, plan, signal }: TuneOptions,
  { classifier }: LearntTask,
): Promise<WeightSource> {
  const words = await initialTokens(plan.softPrompt, prepared.tokenizer, signal);
  const { outputs } = prepared.data;
  const inputs = prepared.facts.hidden;
  const weights = withNewClassifier(stored, classifier, { inputs, outputs, seed: plan.seed });
  return withSoftPrompt(weights, plan, { scale: 1, words });
}

function behindPrompt(
  { encoded, checkpoint, data }: PreparedTuning,
  { softPrompt }: TrainingPlan,
): EncodedData {
  const { vocabulary } = tunedEncoder(checkpoint.config, data.head);
  return examplesBehind(encoded, { vocabulary, count: softPrompt.virtualTokens });
}

/** The classifier of a checkpoint that the training goes on from. */
function headBefore(
  { from, checkpoint, data }: PreparedTuning,
  stored: WeightSource,
): Classifier | null {
  const { head, config } = checkpoint;
  const last = tunedEncoder(config, data.head).layers.at(-1)?.name;
  if (from?.kind !== "checkpoint" || head.name !== data.head || last === undefined) return null;
  const names = [`${last}.weight`, `${last}.bias`];
  if (names.some((name) => stored.entry(name) === null)) return null;
  const [weight, bias] = names.map((name) => readFloat32(stored, name));
  if (weight === undefined || bias === undefined) return null;
  return { labels: "labels" in head ? head.labels : [], weight, bias };
}

/** Which of a checkpoint's tensors a strategy trains. */
function trainedBy({ strategy, layers }: TrainingPlan, { isOfLast }: TunedEncoder) {
  return strategy === "top-k" ? (name: string) => isOfLast(name, layers) : () => true;
}

async function writeLearnt(
  prepared: PreparedTuning,
  out: string,
  { best, card, plan }: { best: Tensors; card: string; plan: TrainingPlan },
): Promise<void> {
  const { checkpoint, data, upstream, wordShapes } = prepared;
  const trained = memoryWeights(best);
  const { task, pooling, classifier, labels } = learntTask(data.task);
  const adapter: AdapterHead = {
    task,
    labels: [...(labels ?? data.labels)],
    problem: data.problem,
    pooling,
    maxLength:
      checkpoint.limits.maxTokens -
      (plan.strategy === "soft-prompt" ? plan.softPrompt.virtualTokens : 0),
    licence: checkpoint.licence,
    entityModel: null,
    wordShapes,
    decoding: task === "token-classification" ? "iob2" : null,
    ...upstream,
    weight: readFloat32(trained, `${classifier}.weight`),
    bias: readFloat32(trained, `${classifier}.bias`),
  };
  await writeAdapter(out, adapter, card, changeOf(prepared, plan, listTensors(best)));
}

/** What was trained beside the classifier. */
function changeOf(
  { checkpoint, data, facts }: PreparedTuning,
  { strategy, lora, softPrompt: { virtualTokens } }: TrainingPlan,
  best: readonly TensorToWrite[],
): TrainedLora | TrainedPrompt {
  const { prefix, adapted, embeddingWidth } = tunedEncoder(checkpoint.config, data.head);
  if (strategy === "soft-prompt") {
    const sizes = { hidden: embeddingWidth, heads: facts.heads, layers: facts.layers };
    const tensors = best.filter(({ name }) => name === promptTable);
    return { virtualTokens, sizes, tensors };
  }
  const targets = adapted.map((name) => `${prefix}${name}`);
  return { ...lora, targets, tensors: best.filter(({ name }) => name.startsWith(peftPrefix)) };
}

/** Tensors that the tuned class has and that were not read. */
function keptNames({ checkpoint, data }: PreparedTuning, weights: WeightSource): string[] {
  const { isKept } = tunedEncoder(checkpoint.config, data.head);
  return weights.names().filter(isKept);
}

async function write(
  options: TuneOptions,
  { weights, graphs, end }: Trained,
): Promise<TrainingReport> {
  const { prepared, plan, name } = options;
  const { id, checkpoint, data, encoded } = prepared;
  const tuned = layeredWeights(memoryWeights(end.best), weights);
  const names = isAdapterStrategy(plan.strategy) ? graphs.trained : graphs.read;
  const size = {
    base_bytes: (await stat(checkpoint.weightsFile)).size,
    tuned_bytes: bytesOf(tuned, names),
  };
  const { stopped, heldOut, progress } = end;
  const part = encoded.heldOut.take(end.examples);
  return await finishTuning(
    {
      facts: {
        task: data.task,
        base_model: id,
        tuned_model: name,
        examples: data.examples,
        size,
        stopped,
        steps: progress.metrics,
      },
      trained: { heldOut, base_kind: end.base === null ? "majority" : "base_model" },
      curve: {
        labels: data.examples,
        rows: encoded.training.rows.length,
        seconds: progress.seconds,
        trainWith: async (run) => (await tryEncoder(ofFewer(options, run))).heldOut,
      },
      measurement: encoderMeasurement(
        end.base === null ? part : (part.against?.(end.base) ?? part),
      ),
      cardOf: (report) => cardOf(options, report),
      write: (card) => writeFolder(options, { weights, graphs, tuned, best: end.best }, card),
    },
    finishingOf(options),
  );
}

function ofFewer(options: TuneOptions, run: SmallerRun): TuneOptions {
  const { encoded } = options.prepared;
  const training = ofExamples(encoded.training, run.examples);
  const prepared = { ...options.prepared, encoded: { ...encoded, training } };
  return { ...smallerRun(options, run), prepared };
}

function cardOf({ prepared, plan }: TuneOptions, report: TrainingReport): string {
  return tuningCard({
    report,
    how: planInWords(plan),
    licence: prepared.checkpoint.licence,
    labels: prepared.data.labels,
    library: isAdapterStrategy(plan.strategy) ? "peft" : "transformers",
    wordShapes: prepared.wordShapes,
  });
}

type Written = Pick<Trained, "weights" | "graphs"> & {
  readonly tuned: WeightSource;
  readonly best: Tensors;
};

async function writeFolder(
  { prepared, plan, out }: TuneOptions,
  { weights, graphs, tuned, best }: Written,
  card: string,
): Promise<void> {
  const { folder, checkpoint, data } = prepared;
  if (isAdapterStrategy(plan.strategy)) {
    return await writeLearnt(prepared, out, { best, card, plan });
  }
  await writeCheckpoint(out, {
    base: { folder, config: checkpoint.config },
    head: data.head,
    labels: data.labels,
    problem: data.problem,
    maxTokens: checkpoint.limits.maxTokens,
    wordShapes: prepared.wordShapes,
    weights: tuned,
    names: [...graphs.read, ...keptNames(prepared, weights)],
    files: prepared.encoded.files ?? {},
    card,
  });
}
