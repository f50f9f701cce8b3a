/** What is known of an encoder and its examples before it is decided how to train. */
import { attentionOf, sizesOf, tunedEncoder } from "../architectures/encoder.ts";
import type { AdapterHead } from "../checkpoints/adapter-folder.ts";
import { checkTokenizer } from "../checkpoints/check-tokenizer.ts";
import { readCheckpoint } from "../checkpoints/checkpoint.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { elementCount } from "../tensor/shape.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { type AdapterStart, type Continued, startOf } from "./continued.ts";
import type { TokenRow } from "./encode-texts.ts";
import { wordsOf } from "./read-words.ts";
import { roomBehind } from "./soft-prompt.ts";
import type { CostFacts } from "./training-cost.ts";
import type { EncodedData, TuningData } from "./training-task.ts";
import { TuningError } from "./tuning-error.ts";

/** All that is known before it is decided how to train. */
export type PreparedTuning = Base & {
  readonly data: TuningData;
  readonly encoded: EncodedData;
  readonly facts: CostFacts;
  /** Tokens that its texts have. */
  readonly words: readonly number[];
  /** Whether it learns to read words' shapes, as taggers do that are given no case. */
  readonly wordShapes: boolean;
  /** Of an adapter that it goes on from; null: there is none. */
  readonly start: AdapterStart | null;
};

type Base = {
  readonly id: string;
  readonly folder: string;
  /** Its name and its weights' digest, for adapters. */
  readonly upstream: Pick<AdapterHead, "baseName" | "baseDigest">;
  /** A tuned model that the training goes on from. Absent: it begins with the base. */
  readonly from?: Continued;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
};

export type EncoderReading = {
  /** Of a soft prompt; 0: none. */
  readonly virtualTokens: number;
  readonly signal: AbortSignal;
};

export type NamedBase = Pick<Base, "id" | "folder" | "upstream" | "from">;

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
  { virtualTokens, signal }: EncoderReading,
): Promise<PreparedTuning> {
  const base = await readBase(of);
  const { checkpoint, tokenizer, id } = base;
  const { sentence } = checkpoint;
  const { maxTokens } = checkpoint.limits;
  const least = virtualTokens === 0 ? 0 : tokenizer.specialTokens.pair + 2;
  const room = roomBehind({ id, maxTokens, least }, virtualTokens);
  const limits = { ...checkpoint.limits, maxTokens: room };
  const { hidden } = sizesOf(checkpoint.config);
  const model = { id, tokenizer, limits, sentence, hidden };
  const encoded = await data.encode(model, signal);
  const lengthOf = ({ ids }: TokenRow) => virtualTokens + ids.length;
  const lengths = {
    training: encoded.training.rows.map(lengthOf),
    heldOut: encoded.heldOut.rows.map(lengthOf),
  };
  const shape = {
    ...attentionOf(checkpoint.config),
    layers: tunedEncoder(checkpoint.config, data.head).layerCount,
    scored: data.head === "masked-lm" ? limits.vocabularySize : 0,
  };
  const words = wordsOf([encoded.training, encoded.heldOut], tokenizer.paddingId ?? 0);
  const { vocabulary, embeddingWidth } = tunedEncoder(checkpoint.config, data.head);
  const unread = (vocabulary - words.length) * embeddingWidth;
  const facts = {
    ...factsOf(checkpoint.weightsFile, shape, lengths),
    unread: data.head === "masked-lm" ? 0 : unread,
    readsFirst: data.head === "sequence-classification" && !shape.relative,
  };
  const readsTags = data.task === "token-classification";
  if (checkpoint.wordShapes && !readsTags) {
    throw new TuningError(`${id} reads words' shapes: it is tuned for token-classification alone`);
  }
  const wordShapes = checkpoint.wordShapes || (readsTags && tokenizer.lowersCase);
  const { task } = data;
  const start = await startOf(of.from, { task, baseDigest: of.upstream.baseDigest });
  return { ...base, data, encoded, facts, words, wordShapes, start };
}

function factsOf(
  weightsFile: string,
  { layers, hidden, intermediate, heads, scored = 0 }: Omit<CostFacts, "parameters" | "lengths">,
  lengths: CostFacts["lengths"],
): CostFacts {
  const source = openSafetensors(weightsFile);
  try {
    const counts = source.names().map((name) => elementCount(source.entry(name)?.shape ?? []));
    const parameters = counts.reduce((sum, count) => sum + count, 0);
    return { layers, hidden, intermediate, heads, scored, parameters, lengths };
  } finally {
    source.close();
  }
}
