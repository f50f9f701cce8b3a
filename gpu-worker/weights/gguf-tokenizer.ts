/**
 * What a GGUF file says of its tokenizer, under the names of the format
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer). How ids are made of it is not known here.
 */
import * as z from "zod";
import type { GgufValue } from "./gguf-header.ts";
import { readValues } from "./gguf-hyperparameters.ts";
import { WeightError } from "./weight-source.ts";

const Id = z.int().nonnegative().optional();
const Flag = z.boolean().optional();

const GgufTokenizer = z.object({
  /** "gpt2": byte-level BPE, "llama": SentencePiece. */
  "ggml.model": z.string(),
  /** How a text is split before BPE. */
  "ggml.pre": z.string().optional(),
  /** By id. */
  "ggml.tokens": z.array(z.string()),
  "ggml.scores": z.instanceof(Float32Array).optional(),
  /** 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  "ggml.token_type": z.instanceof(Int32Array).optional(),
  "ggml.merges": z.array(z.string()).optional(),
  "ggml.bos_token_id": Id,
  "ggml.eos_token_id": Id,
  /** Ends a turn, where that is another token than the one that ends a text. */
  "ggml.eot_token_id": Id,
  "ggml.unknown_token_id": Id,
  "ggml.padding_token_id": Id,
  "ggml.add_bos_token": Flag,
  "ggml.add_eos_token": Flag,
  "ggml.add_space_prefix": Flag,
  chat_template: z.string().optional(),
});
export type GgufTokenizer = z.infer<typeof GgufTokenizer>;

/** Null: the file has none. */
export function tokenizerOf(values: ReadonlyMap<string, GgufValue>): GgufTokenizer | null {
  if (!values.has("tokenizer.ggml.model")) return null;
  const tokenizer = readValues(values, "tokenizer.", GgufTokenizer);
  const tokens = tokenizer["ggml.tokens"].length;
  for (const key of ["ggml.scores", "ggml.token_type"] as const) {
    const length = tokenizer[key]?.length ?? tokens;
    if (length === tokens) continue;
    throw new WeightError(`"tokenizer.${key}" has ${length} entries for ${tokens} tokens`);
  }
  return tokenizer;
}
