/**
 * Llama (Touvron et al., https://arxiv.org/abs/2302.13971), of which SmolLM2 is one too, and Mistral (Jiang et al.,
 * https://arxiv.org/abs/2310.06825), whose tokens see a window of those before them. Names as in transformers'
 * modeling_llama.py.
 */
import * as z from "zod";
import { size } from "./config-fields.ts";
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import {
  biasFields,
  decoderFields,
  decoderSizes,
  plainNorms,
  plainParts,
  ropeSizes,
} from "./decoder-fields.ts";
import { onlyRope, ropeFields } from "./rope.ts";

const usualTheta = 10_000;

const llamaDefaults = {
  vocabulary: 32_000,
  hidden: 4096,
  layers: 32,
  heads: 32,
  keyValueHeads: null,
  headWidth: null,
  intermediate: 11_008,
  positions: 2048,
  tied: false,
};

export const llama = z
  .looseObject({ ...decoderFields(llamaDefaults), ...ropeFields, ...biasFields })
  .transform((file): DecoderArchitecture => {
    const { attention_bias: attention, mlp_bias: feedForward } = file;
    const layer = { rope: onlyRope(file, usualTheta, ropeSizes(file)), window: null };
    return {
      ...decoderSizes(file),
      ...plainParts,
      name: "llama",
      norms: plainNorms,
      biases: { queryKeyValue: attention, attentionOutput: attention, feedForward },
      layers: Array.from({ length: file.num_hidden_layers }, () => layer),
    };
  });

const mistralDefaults = {
  ...llamaDefaults,
  keyValueHeads: 8,
  intermediate: 14_336,
  positions: 131_072,
};

export const mistral = z
  .looseObject({
    ...decoderFields(mistralDefaults),
    ...ropeFields,
    /** Null: none. */
    sliding_window: size.nullable().default(4096),
  })
  .transform((file): DecoderArchitecture => {
    const rope = onlyRope(file, usualTheta, ropeSizes(file));
    const layer = { rope, window: file.sliding_window };
    return {
      ...decoderSizes(file),
      ...plainParts,
      name: "mistral",
      norms: plainNorms,
      biases: { queryKeyValue: false, attentionOutput: false, feedForward: false },
      layers: Array.from({ length: file.num_hidden_layers }, () => layer),
    };
  });
