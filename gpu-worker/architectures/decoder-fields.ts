/**
 * Fields of config.json that families of decoders have in common, as transformers reads them: what is missing has the
 * family's default. What would make it another graph is refused by name.
 */
import * as z from "zod";
import { activation, field, nothingBut, size } from "./config-fields.ts";
import type { DecoderArchitecture, DecoderLayer, DecoderNorms } from "./decoder-architecture.ts";
import { ConfigError } from "./parse-config.ts";
import type { Rope } from "./rope.ts";

export type DecoderDefaults = {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  /** Null: as many as heads. */
  readonly keyValueHeads: number | null;
  /** Null: the hidden size, divided among the heads. */
  readonly headWidth: number | null;
  readonly intermediate: number;
  readonly positions: number;
  readonly tied: boolean;
};

const flag = field(z.boolean(), false);

export function decoderFields(defaults: DecoderDefaults) {
  return {
    vocab_size: field(size, defaults.vocabulary),
    hidden_size: field(size, defaults.hidden),
    num_hidden_layers: field(size, defaults.layers),
    num_attention_heads: field(size, defaults.heads),
    // Null says something else than a field that is missing.
    num_key_value_heads: size.nullable().default(defaults.keyValueHeads),
    head_dim: size.nullable().default(defaults.headWidth),
    intermediate_size: field(size, defaults.intermediate),
    max_position_embeddings: field(size, defaults.positions),
    rms_norm_eps: field(z.number().positive(), 1e-6),
    hidden_act: field(activation, "silu"),
    tie_word_embeddings: field(z.boolean(), defaults.tied),
    quantization_config: z
      .null({ error: "is not built: weights are read as they are stored" })
      .optional(),
    is_encoder_decoder: nothingBut(false),
    add_cross_attention: nothingBut(false),
  };
}

/** Whether linear layers of attention, or of the feed-forward block, have biases. */
export const biasFields = { attention_bias: flag, mlp_bias: flag };

export type DecoderFile = z.infer<z.ZodObject<ReturnType<typeof decoderFields>>>;

/** The same under our names. @throws ConfigError */
export function decoderSizes(file: DecoderFile) {
  const { hidden_size: hidden, num_attention_heads: heads } = file;
  const keyValueHeads = file.num_key_value_heads ?? heads;
  const headWidth = file.head_dim ?? hidden / heads;
  if (!Number.isInteger(headWidth)) {
    throw new ConfigError(`config.json: hidden size ${hidden} does not divide by ${heads} heads`);
  }
  if (headWidth % 2 !== 0) {
    throw new ConfigError(`config.json: heads of ${headWidth} features do not divide into pairs`);
  }
  if (heads % keyValueHeads !== 0) {
    throw new ConfigError(
      `config.json: ${heads} heads do not divide by num_key_value_heads ${keyValueHeads}`,
    );
  }
  return {
    vocabulary: file.vocab_size,
    hidden,
    heads,
    keyValueHeads,
    headWidth,
    intermediate: file.intermediate_size,
    positions: file.max_position_embeddings,
    epsilon: file.rms_norm_eps,
    activation: file.hidden_act,
    tied: file.tie_word_embeddings,
    scoreScale: 1 / Math.sqrt(headWidth),
  };
}

/** Where a family's rope reads what it depends on. */
export function ropeSizes(file: DecoderFile) {
  const { headWidth: width, positions } = decoderSizes(file);
  return { width, positions };
}

/** The norms of Llama, which most families have. */
export const plainNorms: DecoderNorms = {
  attention: "input_layernorm",
  attended: null,
  feedForward: "post_attention_layernorm",
  fed: null,
  heads: null,
};

export const headNorms = { query: "self_attn.q_norm", key: "self_attn.k_norm" };

/** What all families but Gemma have. */
export const plainParts = {
  normOffset: 0,
  embeddingScale: 1,
  logitCap: null,
} satisfies Partial<DecoderArchitecture>;

const full = "full_attention";
const sliding = "sliding_attention";
const LayerKind = z.enum([full, sliding], {
  error: ({ input }) => `${String(input)} is not built, only ${full}, ${sliding}`,
});
export type LayerKind = z.infer<typeof LayerKind>;

export const layerKindFields = { layer_types: z.array(LayerKind).nullish() };

type LayerKindFile = {
  readonly num_hidden_layers: number;
  readonly layer_types?: readonly LayerKind[] | null | undefined;
};

/** @param usual where config.json lists nothing @throws ConfigError */
export function layerKinds(
  { num_hidden_layers: count, layer_types: listed }: LayerKindFile,
  usual: (index: number) => LayerKind,
): readonly LayerKind[] {
  if (!listed) return Array.from({ length: count }, (_, index) => usual(index));
  if (listed.length === count) return listed;
  throw new ConfigError(
    `config.json: layer_types lists ${listed.length} layers, num_hidden_layers is ${count}`,
  );
}

/** @param ropes by kind of layer @throws ConfigError for sliding layers without a window */
export function decoderLayers(
  kinds: readonly LayerKind[],
  window: number | null,
  ropes: Readonly<Record<LayerKind, Rope>>,
): DecoderLayer[] {
  return kinds.map((kind) => {
    if (kind === full) return { rope: ropes[kind], window: null };
    if (window !== null) return { rope: ropes[kind], window };
    throw new ConfigError(
      `config.json: layer_types names ${sliding}, but there is no sliding_window`,
    );
  });
}
