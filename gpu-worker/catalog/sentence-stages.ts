/**
 * How token vectors become a sentence vector: read from the stages that sentence-transformers wrote beside a checkpoint.
 * A stage we do not build is refused by name rather than left out, because the vectors would be others.
 */
import path from "node:path";
import type { Pooling } from "../architectures/encoder-head.ts";
import {
  EncoderFile,
  ModulesFile,
  PoolingFile,
  readJson,
  SentenceFile,
} from "./checkpoint-files.ts";

export type Sentence = {
  pooling: Pooling;
  /** Whether vectors are scaled to length 1. */
  normalize: boolean;
  /** Texts to put before an input, by name. */
  prompts: Record<string, string>;
  /** Longest input in tokens by the encoder stage's own settings; null where it sets none. */
  maxTokens: number | null;
};

const poolings: Readonly<Record<string, Pooling>> = {
  pooling_mode_mean_tokens: "mean",
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
};

async function readPooling(folder: string, stage: string): Promise<Pooling> {
  const file = await readJson(folder, path.posix.join(stage, "config.json"), PoolingFile);
  if (file === null) throw new Error(`${stage}/config.json is missing`);
  const modes = Object.entries(file).filter(
    ([name, value]) => name.startsWith("pooling_mode_") && value === true,
  );
  const [name = "none"] = modes.map(([mode]) => mode);
  const pooling = modes.length === 1 ? poolings[name] : undefined;
  if (pooling !== undefined) return pooling;
  const named = modes.map(([mode]) => mode).join(" and ") || "none";
  throw new Error(`its pooling (${named}) is not served: only one of mean, cls, max is`);
}

/** @returns null where the folder holds no modules.json. @throws where a stage is none that we build */
export async function readSentenceStages(folder: string): Promise<Sentence | null> {
  const modules = await readJson(folder, "modules.json", ModulesFile);
  if (modules === null) return null;
  const sentence: Sentence = { pooling: "mean", normalize: false, prompts: {}, maxTokens: null };
  for (const { path: stage, type } of modules) {
    const kind = type.split(".").at(-1) ?? type;
    if (kind === "Transformer") {
      const file = await readJson(
        folder,
        path.posix.join(stage, "sentence_bert_config.json"),
        EncoderFile,
      );
      sentence.maxTokens = file?.max_seq_length ?? null;
    } else if (kind === "Pooling") {
      sentence.pooling = await readPooling(folder, stage);
    } else if (kind === "Normalize") {
      sentence.normalize = true;
    } else {
      throw new Error(`its stage ${kind} is not served: only Transformer, Pooling, Normalize are`);
    }
  }
  const file = await readJson(folder, "config_sentence_transformers.json", SentenceFile);
  sentence.prompts = file?.prompts ?? {};
  return sentence;
}
