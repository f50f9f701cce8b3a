/**
 * The vector of a text while an encoder is trained for it, and the files by which sentence-transformers and the
 * catalogue make the same vector of the tuned model.
 */
import type { Pooling } from "../architectures/encoder-head.ts";
import { plainSentence } from "../checkpoints/sentence-stages.ts";
import type { Sentence } from "../checkpoints/sentence-stages.ts";

export type TrainedSentence = Pick<
  Sentence,
  "pooling" | "normalize" | "prompts" | "defaultPrompt"
> & {
  /** Put before each text. */
  readonly prompt: string;
};

/**
 * A base that makes no vectors, or none that are scaled, gets the mean over its tokens, of length 1.
 * @param sentence the base's; null: it makes none
 * @throws Error for a base whose vectors are made otherwise than by pooling
 */
export function trainedSentence(id: string, sentence: Sentence | null): TrainedSentence {
  const { pooling, stages, keep, prompts, defaultPrompt, includePrompt } =
    sentence ?? plainSentence;
  const [stage] = stages;
  if (stage !== undefined) {
    throw new Error(`${id} has a ${stage.kind} stage after its pooling, which is not trained`);
  }
  if (keep !== null) throw new Error(`${id} keeps ${keep} numbers of its vectors: not trained`);
  const prompt = defaultPrompt === null ? "" : (prompts[defaultPrompt] ?? "");
  if (prompt !== "" && !includePrompt) {
    throw new Error(`${id} leaves its prompt's tokens out of its vectors, which is not trained`);
  }
  const normalize = sentence === null || sentence === plainSentence || sentence.normalize;
  return { pooling, normalize, prompts, defaultPrompt, prompt };
}

const flags: Readonly<Record<Pooling, string>> = {
  cls: "cls_token",
  max: "max_tokens",
  mean: "mean_tokens",
  mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  weightedmean: "weightedmean_tokens",
  lasttoken: "lasttoken",
};

export type SentenceSizes = {
  /** Of a token's vector. */
  readonly width: number;
  /** Longest input in tokens. */
  readonly maxTokens: number;
};

/** By their paths in the folder of the tuned model. */
export function sentenceFiles(
  { pooling, normalize, prompts, defaultPrompt }: TrainedSentence,
  { width, maxTokens }: SentenceSizes,
): Record<string, string> {
  const stages = ["Transformer", "Pooling", ...(normalize ? ["Normalize"] : [])];
  const modules = stages.map((name, idx) => ({
    idx,
    name: String(idx),
    path: idx === 0 ? "" : `${idx}_${name}`,
    type: `sentence_transformers.models.${name}`,
  }));
  const modes = Object.entries(flags).map(([name, flag]) => [
    `pooling_mode_${flag}`,
    pooling.some((each) => each === name),
  ]);
  const files = {
    "modules.json": modules,
    "1_Pooling/config.json": { word_embedding_dimension: width, ...Object.fromEntries(modes) },
    "sentence_bert_config.json": { max_seq_length: maxTokens, do_lower_case: false },
    "config_sentence_transformers.json": {
      prompts,
      default_prompt_name: defaultPrompt,
      similarity_fn_name: "cosine",
    },
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, content]) => [name, `${JSON.stringify(content, null, 2)}\n`]),
  );
}
