/**
 * DistilBERT (Sanh et al., https://arxiv.org/abs/1910.01108): BERT without token types, under names of its own, as in
 * transformers' modeling_distilbert.py. Sinusoidal positions are stored like learnt ones.
 */
import * as z from "zod";
import type { Architecture, LayerNames } from "./architecture.ts";
import { activation, bertDefaults, defaultPositions, field } from "./config-fields.ts";
import { plainAttention, size } from "./config-fields.ts";

/** The config cannot set it. */
const layerNormEpsilon = 1e-12;
const defaultLayers = 6;

const File = z.looseObject({
  vocab_size: field(size, bertDefaults.vocabulary),
  max_position_embeddings: field(size, defaultPositions),
  dim: size.nullish(),
  hidden_size: field(size, bertDefaults.hidden),
  n_layers: size.nullish(),
  num_hidden_layers: field(size, defaultLayers),
  n_heads: size.nullish(),
  num_attention_heads: field(size, bertDefaults.heads),
  hidden_dim: field(size, bertDefaults.intermediate),
  activation: field(activation, "gelu"),
});

function layerNames(index: number): LayerNames {
  const layer = `transformer.layer.${index}`;
  return {
    query: `${layer}.attention.q_lin`,
    key: `${layer}.attention.k_lin`,
    value: `${layer}.attention.v_lin`,
    attentionOutput: `${layer}.attention.out_lin`,
    attentionNorm: `${layer}.sa_layer_norm`,
    intermediate: `${layer}.ffn.lin1`,
    output: `${layer}.ffn.lin2`,
    norm: `${layer}.output_layer_norm`,
  };
}

export const distilbert = File.transform((file): Architecture => {
  const width = file.dim ?? file.hidden_size;
  const rows = file.max_position_embeddings;
  return {
    ...plainAttention,
    name: "distilbert",
    prefixes: ["distilbert."],
    vocabulary: file.vocab_size,
    hidden: width,
    layers: file.n_layers ?? file.num_hidden_layers,
    heads: file.n_heads ?? file.num_attention_heads,
    intermediate: file.hidden_dim,
    positions: rows,
    epsilon: layerNormEpsilon,
    activation: file.activation,
    embeddings: { width, tokenTypes: 0, positions: { rows, padding: null }, projection: null },
    layer: layerNames,
    sequenceHead: { dense: "pre_classifier", activation: "relu", classifier: "classifier" },
    maskedHeads: [
      {
        dense: "vocab_transform",
        activation: file.activation,
        norm: "vocab_layer_norm",
        width,
        decoder: "vocab_projector.weight",
        bias: ["vocab_projector.bias"],
      },
    ],
  };
});
