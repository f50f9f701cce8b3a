/**
 * Qwen2 and 2.5 (https://arxiv.org/abs/2407.10671, https://arxiv.org/abs/2412.15115): Llama with biases of queries,
 * keys and values. Qwen3 (https://arxiv.org/abs/2505.09388): norms of each head's queries and keys in their place. The
 * upper layers of some have a window. Names as in transformers' modeling_qwen2.py and modeling_qwen3.py.
 */
import * as z from "zod";
import { field, size } from "./config-fields.ts";
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import {
  biasFields,
  type DecoderDefaults,
  decoderFields,
  decoderLayers,
  decoderSizes,
  headNorms,
  layerKindFields,
  layerKinds,
  plainNorms,
  plainParts,
  ropeSizes,
} from "./decoder-fields.ts";
import { onlyRope, ropeFields } from "./rope.ts";

const usualTheta = 10_000;

const qwen2Defaults = {
  vocabulary: 151_936,
  hidden: 4096,
  layers: 32,
  heads: 32,
  keyValueHeads: 32,
  headWidth: null,
  intermediate: 22_016,
  positions: 32_768,
  tied: false,
};

function qwenFile(defaults: DecoderDefaults) {
  return z.looseObject({
    ...decoderFields(defaults),
    ...ropeFields,
    ...layerKindFields,
    use_sliding_window: field(z.boolean(), false),
    sliding_window: size.nullable().default(4096),
    /** The first layer that has the window. */
    max_window_layers: field(z.int().nonnegative(), 28),
  });
}
type QwenFile = z.infer<ReturnType<typeof qwenFile>>;

function layersOf(file: QwenFile) {
  const window = file.use_sliding_window ? file.sliding_window : null;
  const slides = (index: number) => window !== null && index >= file.max_window_layers;
  const kinds = layerKinds(file, (index) =>
    slides(index) ? "sliding_attention" : "full_attention",
  );
  const rope = onlyRope(file, usualTheta, ropeSizes(file));
  return decoderLayers(kinds, window, { full_attention: rope, sliding_attention: rope });
}

export const qwen2 = qwenFile(qwen2Defaults).transform((file): DecoderArchitecture => ({
  ...decoderSizes(file),
  ...plainParts,
  name: "qwen2",
  norms: plainNorms,
  biases: { queryKeyValue: true, attentionOutput: false, feedForward: false },
  layers: layersOf(file),
}));

export const qwen3 = qwenFile({ ...qwen2Defaults, headWidth: 128 })
  .extend({ attention_bias: biasFields.attention_bias })
  .transform((file): DecoderArchitecture => ({
    ...decoderSizes(file),
    ...plainParts,
    name: "qwen3",
    norms: { ...plainNorms, heads: headNorms },
    biases: {
      queryKeyValue: file.attention_bias,
      attentionOutput: file.attention_bias,
      feedForward: false,
    },
    layers: layersOf(file),
  }));
