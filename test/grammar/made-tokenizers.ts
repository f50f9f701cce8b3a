/** Tokenizers of several families: small ones of their GGUF metadata, and a real one where it is here. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import {
  decoderTokenizerFiles,
  readDecoderCheckpoint,
} from "../../gpu-worker/checkpoints/decoder-checkpoint.ts";
import { filesOfGguf, type GgufVocabulary } from "../../gpu-worker/tokenizer/gguf-vocabulary.ts";
import { makeTokenizer, type Tokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";

const made = path.join(import.meta.dirname, "../tokenizer/made/gguf/vocabularies.json");
type Written = Omit<GgufVocabulary, "ggml.scores" | "ggml.token_type"> & {
  "ggml.scores"?: number[];
  "ggml.token_type": number[];
};
const cases: Record<string, { metadata: Written }> = JSON.parse(readFileSync(made, "utf8")).cases;

export const madeNames = Object.keys(cases);

export async function madeTokenizer(name: string): Promise<Tokenizer> {
  const metadata = cases[name]?.metadata;
  if (metadata === undefined) throw new Error(`${name} is not made`);
  const { "ggml.scores": scores, "ggml.token_type": types, ...rest } = metadata;
  const vocabulary: GgufVocabulary = {
    ...rest,
    "ggml.scores": scores && Float32Array.from(scores),
    "ggml.token_type": Int32Array.from(types),
  };
  return makeTokenizer(await filesOfGguf(vocabulary));
}

const folder = path.join(import.meta.dirname, "../../../shared/models/SmolLM2-135M-Instruct");
export const hasRealTokenizer = existsSync(folder);

export async function realTokenizer(): Promise<Tokenizer> {
  const checkpoint = await readDecoderCheckpoint(folder, null);
  if (checkpoint === null) throw new Error("the folder has no decoder");
  return makeTokenizer(await decoderTokenizerFiles(checkpoint));
}

/** As much of a decoder as texts are held to structures by; its first special token ends a text. */
export function wordsOf(tokenizer: Tokenizer): DecoderModel {
  const ids = Array.from({ length: tokenizer.vocabularySize }, (_, id) => id);
  const end = ids.find((id) => tokenizer.token(id)?.special === true) ?? 0;
  const words: Pick<DecoderModel, "tokenizer" | "endTokens"> = {
    tokenizer,
    endTokens: new Set([end]),
  };
  return words as DecoderModel;
}
