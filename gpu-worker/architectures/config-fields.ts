/**
 * Fields of config.json that families of encoders have in common, as transformers reads them: what is missing or null
 * has the family's default. What would make it another graph (a decoder) is refused by name.
 */
import * as z from "zod";
import { activationNames } from "./activation.ts";
import type { Architecture } from "./architecture.ts";

/** `fallback` where the field is missing or null. */
export function field<T>(schema: z.ZodType<T>, fallback: T) {
  return schema.nullish().transform((value) => value ?? fallback);
}

/** The field may be missing, null or `only`. */
export function nothingBut<T extends string | number | boolean>(only: T) {
  const error = ({ input }: { readonly input?: unknown }) =>
    `${JSON.stringify(input)} is not built, only ${JSON.stringify(only)}`;
  return z.literal(only, { error }).nullish();
}

export const size = z.int().positive();
export const activation = z.enum(activationNames);

export type StackDefaults = {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediate: number;
  readonly tokenTypes: number;
  readonly epsilon: number;
};

export const bertDefaults: StackDefaults = {
  vocabulary: 30_522,
  hidden: 768,
  layers: 12,
  heads: 12,
  intermediate: 3072,
  tokenTypes: 2,
  epsilon: 1e-12,
};

export const defaultPositions = 512;

/** The fields under the names that BERT gave them. */
export function stackFields(defaults: StackDefaults) {
  return {
    vocab_size: field(size, defaults.vocabulary),
    hidden_size: field(size, defaults.hidden),
    num_hidden_layers: field(size, defaults.layers),
    num_attention_heads: field(size, defaults.heads),
    intermediate_size: field(size, defaults.intermediate),
    max_position_embeddings: field(size, defaultPositions),
    type_vocab_size: field(z.int().nonnegative(), defaults.tokenTypes),
    layer_norm_eps: field(z.number().positive(), defaults.epsilon),
    hidden_act: field(activation, "gelu"),
    position_embedding_type: nothingBut("absolute"),
    is_decoder: nothingBut(false),
    add_cross_attention: nothingBut(false),
  };
}

export type StackFile = z.infer<z.ZodObject<ReturnType<typeof stackFields>>>;

/** The same under our names. */
export function stackSizes(file: StackFile) {
  return {
    vocabulary: file.vocab_size,
    hidden: file.hidden_size,
    layers: file.num_hidden_layers,
    heads: file.num_attention_heads,
    intermediate: file.intermediate_size,
    epsilon: file.layer_norm_eps,
    activation: file.hidden_act,
  };
}

/** What all families but DeBERTa have. */
export const plainAttention = {
  scoreTerms: 1,
  relative: null,
  convolution: null,
} satisfies Partial<Architecture>;
