/**
 * A decoder from a base's folder and examples: trained by the loop, then written with its report into a folder, layers
 * of LoRA or a soft prompt as PEFT has them, or a whole checkpoint. What a command and a job both call.
 */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { decoderOf } from "../architectures/decoder.ts";
import type { DecoderArchitecture } from "../architectures/decoder-architecture.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import { decoderTokenizerFiles, readDecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import type { TrainedLora } from "../checkpoints/adapter-folder.ts";
import { writeDecoderAdapter } from "../checkpoints/write-decoder-adapter.ts";
import type { TrainedPrompt } from "../checkpoints/soft-prompt-config.ts";
import { makeTokenizer } from "../tokenizer/tokenizer.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { type AdapterStart, startOf } from "./continued.ts";
import { lengthsOf } from "./decoder-cost.ts";
import type { DecoderFacts } from "./decoder-cost.ts";
import { batchData, encodeDecoderData, judgedTexts } from "./decoder-data.ts";
import type { DecoderData, EncodedTexts, JudgedTexts } from "./decoder-data.ts";
import { decoderGraphs, decoderTargets, withDecoderAdapters } from "./decoder-graphs.ts";
import type { SmallerRun } from "./label-curve.ts";
import type { LearntRow } from "./learnt-rows.ts";
import { picked } from "./served-rows.ts";
import type { Measurement, ServedForm } from "./measure-served.ts";
import type { NamedBase } from "./prepare-encoder.ts";
import type { TrainingEnd } from "./run-training.ts";
import { decoderAnswers } from "./served-answers.ts";
import type { ServedAnswers } from "./served-answers.ts";
import { behindSoftPrompt, initialTokens, withSoftPrompt, roomBehind } from "./soft-prompt.ts";
import { finishingOf, smallerRun, trainInFolder } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import { isAdapterStrategy } from "./training-plan.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { bytesOf, finishTuning } from "./training-report.ts";
import { listTensors } from "./training-state.ts";
import type { Tensors } from "./training-state.ts";
import { planInWords, tuningCard } from "./tuning-card.ts";
import { writeDecoder } from "./write-decoder.ts";

/** All that is known before it is decided how to train. */
export type PreparedDecoder = NamedBase & {
  readonly checkpoint: DecoderCheckpoint;
  readonly tokenizer: Tokenizer;
  /** config.json, or what a GGUF file says in its place. */
  readonly config: unknown;
  readonly data: DecoderData;
  readonly encoded: EncodedTexts;
  /** Each text stands behind so many. */
  readonly virtualTokens: number;
  readonly facts: DecoderFacts;
  /** Of an adapter that it goes on from; null: there is none. */
  readonly start: AdapterStart | null;
};

export type TuneDecoderOptions = TrainingRun & { readonly prepared: PreparedDecoder };

function configIn(checkpoint: DecoderCheckpoint): unknown {
  const { config, weights } = openDecoderWeights(checkpoint);
  weights.close();
  return config;
}

/**
 * @param virtualTokens of a soft prompt; 0: none
 * @throws Error that says why the base cannot be trained on the data; the signal's reason
 */
export async function prepareDecoder(
  named: NamedBase,
  data: DecoderData,
  { virtualTokens, signal }: { readonly virtualTokens: number; readonly signal: AbortSignal },
): Promise<PreparedDecoder> {
  const { id, folder } = named;
  const checkpoint = await readDecoderCheckpoint(folder, null);
  if (checkpoint === null) throw new Error(`${id} writes no text: ${data.task} trains decoders`);
  const tokenizer = await makeTokenizer(await decoderTokenizerFiles(checkpoint));
  checkTokenizer(tokenizer, checkpoint);
  const { limits, endTokens, chatTemplate, parameters } = checkpoint;
  const reader = {
    id,
    tokenizer,
    tokensMax: roomBehind({ id, maxTokens: limits.maxTokens, least: 2 }, virtualTokens),
    endToken: endTokens[0] ?? null,
    endTokens: new Set(endTokens),
    chatTemplate,
  };
  const encoded = await encodeDecoderData(data, reader, signal);
  const config = configIn(checkpoint);
  const facts = {
    architecture: decoderOf(config),
    parameters,
    training: lengthsOf(encoded.training, virtualTokens),
    heldOut: lengthsOf(encoded.heldOut, virtualTokens),
  };
  const { task } = data;
  const start = await startOf(named.from, { task, baseDigest: named.upstream.baseDigest });
  const prepared = { ...named, checkpoint, tokenizer, config, data, encoded, facts, start };
  return { ...prepared, virtualTokens };
}

/** `stored` with what is trained beside it, if anything is. Closing it closes `stored`. */
async function withTrained({ plan, prepared, signal }: TuneDecoderOptions, stored: WeightSource) {
  if (plan.strategy === "lora") return withDecoderAdapters(stored, plan, prepared.start);
  if (plan.strategy !== "soft-prompt") return stored;
  const { architecture } = prepared.facts;
  const words = await initialTokens(plan.softPrompt, prepared.tokenizer, signal);
  return withSoftPrompt(stored, plan, { scale: architecture.embeddingScale, words });
}

export async function tuneDecoder(options: TuneDecoderOptions): Promise<TrainingReport> {
  return await trainedDecoder(options, (trained) => write(options, trained));
}

/** Trained alike: nothing is written but its state. */
export async function tryDecoder(options: TuneDecoderOptions): Promise<TrainingEnd> {
  return await trainedDecoder(options, async ({ end }) => end);
}

type Trained = {
  readonly weights: WeightSource;
  readonly graphs: TrainingGraphs;
  readonly end: TrainingEnd;
  /** As who serves is asked. */
  readonly heldOut: JudgedTexts;
};

async function trainedDecoder<T>(
  options: TuneDecoderOptions,
  use: (trained: Trained) => Promise<T>,
): Promise<T> {
  const { plan, prepared } = options;
  const { checkpoint, config, facts, tokenizer, id } = prepared;
  if (!isAdapterStrategy(plan.strategy) && checkpoint.format === "gguf") {
    throw new Error(
      `${id} is a GGUF file, whose weights are rounded: use lora, or its safetensors`,
    );
  }
  const { weights: stored } = openDecoderWeights(checkpoint);
  let weights = stored;
  try {
    weights = await withTrained(options, stored);
    const rows = [...facts.training, ...facts.heldOut];
    const positions = rows.reduce((most, { tokens }) => Math.max(most, tokens), 1);
    const layerCount = facts.architecture.layers.length;
    const graphs = decoderGraphs(config, weights, { plan, positions, layerCount });
    const paddingId = tokenizer.paddingId ?? 0;
    const examples = await examplesOf(prepared, paddingId);
    const end = await trainInFolder(options, {
      graphs,
      weights,
      paddingId,
      examples,
    });
    return await use({ weights, graphs, end, heldOut: examples.plain });
  } finally {
    weights.close();
  }
}

/**
 * Held-out texts are compared with what the base makes of them: adapters change nothing as they begin, and the base
 * reads no soft prompt. Who serves puts a model's own before a text: `plain` are without.
 */
async function examplesOf(
  { encoded, tokenizer, virtualTokens: count, facts }: PreparedDecoder,
  paddingId: number,
) {
  const texts = await tokenizer.decodeAll(encoded.heldOut.map(({ ids }) => ids));
  const { vocabulary } = facts.architecture;
  const behind = (rows: readonly LearntRow[]) => behindSoftPrompt(rows, { vocabulary, count });
  const [training, heldOut] = [behind(encoded.training), behind(encoded.heldOut)];
  return {
    training: { rows: training, data: batchData(training, paddingId) },
    heldOut: judgedTexts(heldOut, { paddingId, texts }),
    plain: judgedTexts(encoded.heldOut, { paddingId, texts }),
  };
}

/** What an adapter's folder holds of what was trained. */
function trainedBy(
  { strategy, lora, softPrompt }: TrainingPlan,
  architecture: DecoderArchitecture,
  best: Tensors,
): TrainedLora | TrainedPrompt {
  const tensors = listTensors(best);
  return strategy === "lora"
    ? { ...lora, targets: decoderTargets, tensors }
    : {
        virtualTokens: softPrompt.virtualTokens,
        sizes: { ...architecture, layers: architecture.layers.length },
        tensors,
      };
}

async function write(
  options: TuneDecoderOptions,
  { weights, graphs, end, heldOut }: Trained,
): Promise<TrainingReport> {
  const { prepared, plan, name, out } = options;
  const { id, folder, checkpoint, config, data, encoded, facts, upstream } = prepared;
  const isAdapter = isAdapterStrategy(plan.strategy);
  const tuned = layeredWeights(memoryWeights(end.best), weights);
  const { licence, limits } = checkpoint;
  const tunedBytes = bytesOf(tuned, isAdapter ? graphs.trained : graphs.read);
  return await finishTuning(
    {
      facts: {
        task: data.task,
        base_model: id,
        tuned_model: name,
        examples: encoded.training.length,
        size: { base_bytes: checkpoint.sizeBytes, tuned_bytes: tunedBytes },
        stopped: end.stopped,
        steps: end.progress.metrics,
      },
      trained: { heldOut: end.heldOut, base_kind: "base_model" },
      curve: {
        labels: encoded.training.length,
        rows: encoded.training.length,
        seconds: end.progress.seconds,
        trainWith: async (run) => (await tryDecoder(ofFewer(options, run))).heldOut,
      },
      measurement: decoderMeasurement(heldOut.take(end.examples)),
      cardOf: (report) =>
        tuningCard({
          report,
          how: planInWords(plan, false),
          licence,
          labels: [],
          wordShapes: false,
          library: isAdapter ? "peft" : "transformers",
          pipeline: "text-generation",
        }),
      async write(card) {
        if (!isAdapter) {
          const base = { folder, config };
          return await writeDecoder(out, { base, weights: tuned, names: graphs.read, card });
        }
        const task = data.task === "chat" ? "chat-completion" : "text-generation";
        const adapter = { task, maxLength: limits.maxTokens, licence, ...upstream } as const;
        const trained = trainedBy(plan, facts.architecture, end.best);
        await writeDecoderAdapter(out, adapter, { trained, card });
      },
    },
    finishingOf(options),
  );
}

function ofFewer(options: TuneDecoderOptions, run: SmallerRun): TuneDecoderOptions {
  const { encoded } = options.prepared;
  const training = picked(encoded.training, run.examples);
  const prepared = { ...options.prepared, encoded: { ...encoded, training } };
  return { ...smallerRun(options, run), prepared };
}

function answers({ rows }: JudgedTexts, model: ServedForm): ServedAnswers | null {
  return model.kind === "decoder" ? decoderAnswers(rows, model) : null;
}

function decoderMeasurement(part: JudgedTexts): Measurement<JudgedTexts> {
  return {
    part,
    take: (of, examples) => of.take(examples),
    answers,
    timed: answers,
    others: () => Promise.resolve([]),
  };
}
