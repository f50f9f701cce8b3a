/**
 * BERT (Devlin et al., https://arxiv.org/abs/1810.04805), names as in transformers' modeling_bert.py.
 */
import * as z from "zod";
import type { Architecture, LayerNames } from "./architecture.ts";
import { bertDefaults, plainAttention, stackFields, stackSizes } from "./config-fields.ts";

/** Names of a layer, which most families took over from BERT. */
export function bertLayer(index: number): LayerNames {
  const layer = `encoder.layer.${index}`;
  return {
    query: `${layer}.attention.self.query`,
    key: `${layer}.attention.self.key`,
    value: `${layer}.attention.self.value`,
    attentionOutput: `${layer}.attention.output.dense`,
    attentionNorm: `${layer}.attention.output.LayerNorm`,
    intermediate: `${layer}.intermediate.dense`,
    output: `${layer}.output.dense`,
    norm: `${layer}.output.LayerNorm`,
  };
}

export const bert = z.looseObject(stackFields(bertDefaults)).transform((file): Architecture => {
  const sizes = stackSizes(file);
  const { hidden: width, activation } = sizes;
  const rows = file.max_position_embeddings;
  const transform = "cls.predictions.transform";
  return {
    ...sizes,
    ...plainAttention,
    name: "bert",
    prefixes: ["bert."],
    positions: rows,
    embeddings: {
      width,
      tokenTypes: file.type_vocab_size,
      positions: { rows, padding: null },
      projection: null,
    },
    layer: bertLayer,
    sequenceHead: { dense: "pooler.dense", activation: "tanh", classifier: "classifier" },
    maskedHeads: [
      {
        dense: `${transform}.dense`,
        activation,
        norm: `${transform}.LayerNorm`,
        width,
        decoder: "cls.predictions.decoder.weight",
        bias: ["cls.predictions.decoder.bias", "cls.predictions.bias"],
      },
    ],
  };
});
