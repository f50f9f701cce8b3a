/**
 * A decoder from a base's folder and examples: trained by the loop, then written with its report into a folder, layers
 * of LoRA as PEFT has them or a whole checkpoint. What a command and a job both call.
 */
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { decoderOf } from "../architectures/decoder.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import { decoderTokenizerFiles, readDecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import { type TunedDecoder, writeDecoderAdapter } from "../checkpoints/write-decoder-adapter.ts";
import { makeTokenizer } from "../tokenizer/tokenizer.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { lengthsOf } from "./decoder-cost.ts";
import type { DecoderFacts } from "./decoder-cost.ts";
import { batchData, encodeDecoderData, judgedTexts } from "./decoder-data.ts";
import type { DecoderData, EncodedTexts, JudgedTexts } from "./decoder-data.ts";
import { decoderGraphs, decoderTargets, withDecoderAdapters } from "./decoder-graphs.ts";
import type { Measurement, ServedForm } from "./measure-served.ts";
import type { TrainingEnd } from "./run-training.ts";
import { decoderAnswers } from "./served-answers.ts";
import type { ServedAnswers } from "./served-answers.ts";
import { finishingOf, trainInFolder } from "./train-in-folder.ts";
import type { TrainingRun } from "./train-in-folder.ts";
import type { TrainingGraphs } from "./training-graphs.ts";
import { bytesOf, finishTuning } from "./training-report.ts";
import { listTensors } from "./training-state.ts";
import { planInWords, tuningCard } from "./tuning-card.ts";
import { writeDecoder } from "./write-decoder.ts";

type Named = {
  readonly id: string;
  readonly folder: string;
  /** Its name and its weights' digest, for adapters. */
  readonly upstream: Pick<TunedDecoder, "baseName" | "baseDigest">;
};

/** All that is known before it is decided how to train. */
export type PreparedDecoder = Named & {
  readonly checkpoint: DecoderCheckpoint;
  readonly tokenizer: Tokenizer;
  /** config.json, or what a GGUF file says in its place. */
  readonly config: unknown;
  readonly data: DecoderData;
  readonly encoded: EncodedTexts;
  readonly facts: DecoderFacts;
};

export type TuneDecoderOptions = TrainingRun & { readonly prepared: PreparedDecoder };

function configIn(checkpoint: DecoderCheckpoint): unknown {
  const { config, weights } = openDecoderWeights(checkpoint);
  weights.close();
  return config;
}

/** @throws Error that says why the base cannot be trained on the data; the signal's reason */
export async function prepareDecoder(
  named: Named,
  data: DecoderData,
  signal: AbortSignal,
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
    tokensMax: limits.maxTokens,
    endToken: endTokens[0] ?? null,
    endTokens: new Set(endTokens),
    chatTemplate,
  };
  const encoded = await encodeDecoderData(data, reader, signal);
  const config = configIn(checkpoint);
  const facts = {
    architecture: decoderOf(config),
    parameters,
    training: lengthsOf(encoded.training),
    heldOut: lengthsOf(encoded.heldOut),
  };
  return { ...named, checkpoint, tokenizer, config, data, encoded, facts };
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
  readonly heldOut: JudgedTexts;
};

async function trainedDecoder<T>(
  options: TuneDecoderOptions,
  use: (trained: Trained) => Promise<T>,
): Promise<T> {
  const { plan, prepared } = options;
  const { checkpoint, config, encoded, facts, tokenizer, id } = prepared;
  const isLora = plan.strategy === "lora";
  if (!isLora && checkpoint.format === "gguf") {
    throw new Error(
      `${id} is a GGUF file, whose weights are rounded: use lora, or its safetensors`,
    );
  }
  const { weights: stored } = openDecoderWeights(checkpoint);
  const weights = isLora ? withDecoderAdapters(stored, plan) : stored;
  try {
    const rows = [...encoded.training, ...encoded.heldOut];
    const positions = rows.reduce((most, { ids }) => Math.max(most, ids.length), 1);
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
    return await use({ weights, graphs, end, heldOut: examples.heldOut });
  } finally {
    weights.close();
  }
}

/** Held-out texts are compared with what the base makes of them: adapters change nothing as they begin. */
async function examplesOf({ encoded, tokenizer }: PreparedDecoder, paddingId: number) {
  const { training, heldOut } = encoded;
  const texts = await tokenizer.decodeAll(heldOut.map(({ ids }) => ids));
  return {
    training: { rows: training, data: batchData(training, paddingId) },
    heldOut: judgedTexts(heldOut, { paddingId, texts }),
  };
}

async function write(
  options: TuneDecoderOptions,
  { weights, graphs, end, heldOut }: Trained,
): Promise<TrainingReport> {
  const { prepared, plan, name, out } = options;
  const { id, folder, checkpoint, config, data, encoded, upstream } = prepared;
  const isLora = plan.strategy === "lora";
  const tuned = layeredWeights(memoryWeights(end.best), weights);
  const { licence, limits } = checkpoint;
  const tunedBytes = bytesOf(tuned, isLora ? graphs.trained : graphs.read);
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
      measurement: decoderMeasurement(heldOut.take(end.examples)),
      cardOf: (report) =>
        tuningCard({
          report,
          how: planInWords(plan, false),
          licence,
          labels: [],
          wordShapes: false,
          library: isLora ? "peft" : "transformers",
          pipeline: "text-generation",
        }),
      async write(card) {
        if (!isLora) {
          const base = { folder, config };
          return await writeDecoder(out, { base, weights: tuned, names: graphs.read, card });
        }
        const task = data.task === "chat" ? "chat-completion" : "text-generation";
        const adapter = { task, maxLength: limits.maxTokens, licence, ...upstream } as const;
        const lora = { ...plan.lora, targets: decoderTargets, tensors: listTensors(end.best) };
        await writeDecoderAdapter(out, adapter, { lora, card });
      },
    },
    finishingOf(options),
  );
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
