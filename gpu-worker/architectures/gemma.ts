/**
 * Gemma 3 (https://arxiv.org/abs/2503.19786), its text model: most layers see a window and turn by a rope of their own,
 * and every block has a norm behind it as well as before. Names as in transformers' modeling_gemma3.py.
 */
import * as z from "zod";
import { activation, field, nothingBut, size } from "./config-fields.ts";
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import {
  biasFields,
  decoderFields,
  decoderLayers,
  decoderSizes,
  headNorms,
  type LayerKind,
  layerKindFields,
  layerKinds,
  ropeSizes,
} from "./decoder-fields.ts";
import { RopeParameters, ropeOf } from "./rope.ts";

const usualTheta = { full_attention: 1_000_000, sliding_attention: 10_000 };

const defaults = {
  vocabulary: 262_208,
  hidden: 2304,
  layers: 26,
  heads: 8,
  keyValueHeads: 4,
  headWidth: 256,
  intermediate: 9216,
  positions: 131_072,
  tied: true,
};

const positive = z.number().positive();

const File = z.looseObject({
  ...decoderFields(defaults),
  ...layerKindFields,
  hidden_activation: field(activation, "gelu_pytorch_tanh"),
  attention_bias: biasFields.attention_bias,
  query_pre_attn_scalar: field(positive, 256),
  sliding_window: size.nullable().default(4096),
  /** Where no layer_types are listed: every so manieth layer sees all. */
  sliding_window_pattern: field(size, 6),
  final_logit_softcapping: positive.nullish(),
  attn_logit_softcapping: z.null({ error: "is not built" }).optional(),
  use_bidirectional_attention: nothingBut(false),
  rope_parameters: z
    .strictObject({
      full_attention: RopeParameters.nullish(),
      sliding_attention: RopeParameters.nullish(),
    })
    .nullish(),
  /** The older form: of layers that see all, the base of the others apart. */
  rope_scaling: RopeParameters.nullish(),
  rope_theta: positive.nullish(),
  rope_local_base_freq: positive.nullish(),
});
type File = z.infer<typeof File>;

const plainRope: RopeParameters = { rope_type: "default" };

function ropesOf(file: File) {
  const sizes = ropeSizes(file);
  const given = file.rope_parameters ?? {};
  const full = file.rope_scaling ?? given.full_attention ?? plainRope;
  const sliding = given.sliding_attention ?? plainRope;
  const [fullTheta, slidingTheta] = [
    file.rope_theta ?? usualTheta.full_attention,
    file.rope_local_base_freq ?? usualTheta.sliding_attention,
  ];
  return {
    full_attention: ropeOf(full, fullTheta, sizes),
    sliding_attention: ropeOf(sliding, slidingTheta, sizes),
  };
}

function kindsOf(file: File): readonly LayerKind[] {
  const pattern = file.sliding_window_pattern;
  return layerKinds(file, (index) =>
    (index + 1) % pattern === 0 ? "full_attention" : "sliding_attention",
  );
}

export const gemma3 = File.transform((file): DecoderArchitecture => {
  const bias = file.attention_bias;
  return {
    ...decoderSizes(file),
    name: "gemma3_text",
    activation: file.hidden_activation,
    scoreScale: 1 / Math.sqrt(file.query_pre_attn_scalar),
    norms: {
      attention: "input_layernorm",
      attended: "post_attention_layernorm",
      feedForward: "pre_feedforward_layernorm",
      fed: "post_feedforward_layernorm",
      heads: headNorms,
    },
    normOffset: 1,
    biases: { queryKeyValue: bias, attentionOutput: bias, feedForward: false },
    embeddingScale: Math.sqrt(file.hidden_size),
    layers: decoderLayers(kindsOf(file), file.sliding_window, ropesOf(file)),
    logitCap: file.final_logit_softcapping ?? null,
  };
});
