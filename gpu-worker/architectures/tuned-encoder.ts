/**
 * How transformers saves an encoder that is tuned for a task: the name of its class, and names of tensors with the
 * prefix that the class puts before those of its base.
 */
import type { Architecture, MaskedHead } from "./architecture.ts";
import { ConfigError } from "./parse-config.ts";

export type TunedHead =
  | "sequence-classification"
  | "token-classification"
  | "question-answering"
  | "masked-lm"
  /** The bare encoder, of whose states vectors are made. */
  | "none";

/** A linear layer that a checkpoint may lack. */
export type HeadLayer = { readonly name: string; readonly inputs: number };

export type TunedEncoder = {
  /** As in config.json's `architectures`. */
  readonly className: string;
  readonly layerCount: number;
  /** Of a row of the word embeddings. */
  readonly embeddingWidth: number;
  /** Of the head, the classifier last: its outputs are the classes, those of the others as many as their inputs. */
  readonly layers: readonly HeadLayer[];
  /** The name of a tensor in the saved file, by its name in the file that it was read from. */
  readonly savedName: (stored: string) => string;
  /** The linear layers that adapters of low rank change, without prefix. */
  readonly adapted: readonly string[];
  /** What the class puts before the names of its base. */
  readonly prefix: string;
  /** Whether a tensor is of the head, or of one of the last `count` layers. */
  readonly isOfLast: (stored: string, count: number) => boolean;
  /** Whether the class has a tensor that no graph of ours reads. */
  readonly isKept: (stored: string) => boolean;
  /** Of the family; the first is what a checkpoint without one gets. */
  readonly maskedHeads: readonly MaskedHead[];
  /** Tokens that a masked head scores. */
  readonly vocabulary: number;
};

const families: Readonly<Record<string, string>> = {
  bert: "Bert",
  "deberta-v2": "DebertaV2",
  distilbert: "DistilBert",
  electra: "Electra",
  roberta: "Roberta",
  "xlm-roberta": "XLMRoberta",
};

const endings: Readonly<Record<TunedHead, string>> = {
  "sequence-classification": "ForSequenceClassification",
  "token-classification": "ForTokenClassification",
  "question-answering": "ForQuestionAnswering",
  "masked-lm": "ForMaskedLM",
  none: "Model",
};

/** Layers and tensors of the ways in which a family scores its vocabulary. */
function maskedNames(heads: readonly MaskedHead[]): string[] {
  return heads.flatMap(({ dense, norm, decoder, bias }) =>
    [dense, norm, decoder ?? [], bias].flat(),
  );
}

function isOf(bare: string, names: readonly string[]): boolean {
  return names.some((each) => bare === each || bare.startsWith(`${each}.`));
}

/** BERT alone has the layer before the classifier in its base. */
function isOfBase(family: string, layer: string): boolean {
  return family === "bert" && layer === "pooler.dense";
}

function bareName(stored: string, prefix: string): string {
  return stored.startsWith(prefix) ? stored.slice(prefix.length) : stored;
}

export function tunedEncoderOf(
  architecture: Architecture,
  family: string,
  head: TunedHead,
): TunedEncoder {
  const { prefixes, hidden, sequenceHead, maskedHeads } = architecture;
  const name = families[family];
  const [prefix = ""] = prefixes;
  if (name === undefined) throw new ConfigError(`model_type ${family} is not tuned`);
  const layersOf: Readonly<Record<TunedHead, readonly string[]>> = {
    "sequence-classification": [sequenceHead.dense, sequenceHead.classifier],
    "token-classification": ["classifier"],
    "question-answering": ["qa_outputs"],
    "masked-lm": [],
    none: [],
  };
  const names = head === "masked-lm" ? maskedNames(maskedHeads) : layersOf[head];
  const outside = names.filter((each) => !isOfBase(family, each));
  return {
    layerCount: architecture.layers,
    embeddingWidth: architecture.embeddings.width,
    className: `${name}${endings[head]}`,
    layers: layersOf[head].map((each) => ({ name: each, inputs: hidden })),
    savedName: (stored) => {
      const bare = bareName(stored, prefix);
      return head === "none" || isOf(bare, outside) ? bare : `${prefix}${bare}`;
    },
    prefix,
    adapted: Array.from({ length: architecture.layers }, (_, at) => {
      const { query, value, intermediate, output } = architecture.layer(at);
      return [query, value, intermediate, output];
    }).flat(),
    isOfLast: (stored, count) => {
      const bare = bareName(stored, prefix);
      const last = Array.from({ length: count }, (_, at) =>
        Object.values(architecture.layer(architecture.layers - 1 - at)),
      );
      return isOf(bare, [...names, ...last.flat()]);
    },
    isKept: (stored) => head === "none" && bareName(stored, prefix).startsWith("pooler."),
    maskedHeads,
    vocabulary: architecture.vocabulary,
  };
}
