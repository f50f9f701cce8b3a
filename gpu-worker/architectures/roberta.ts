/**
 * RoBERTa (Liu et al., https://arxiv.org/abs/1907.11692) and XLM-RoBERTa (Conneau et al.,
 * https://arxiv.org/abs/1911.02116): BERT's layers, with positions counted fairseq's way and heads of their own. Names
 * as in transformers' modeling_roberta.py.
 */
import * as z from "zod";
import type { Architecture } from "./architecture.ts";
import { bertLayer } from "./bert.ts";
import { bertDefaults, field, plainAttention, stackFields, stackSizes } from "./config-fields.ts";

const defaultPadding = 1;

function named(name: string, vocabulary: number) {
  const fields = {
    ...stackFields({ ...bertDefaults, vocabulary }),
    pad_token_id: field(z.int().nonnegative(), defaultPadding),
  };
  return z.looseObject(fields).transform((file): Architecture => {
    const sizes = stackSizes(file);
    const { hidden: width } = sizes;
    const [rows, padding] = [file.max_position_embeddings, file.pad_token_id];
    return {
      ...sizes,
      ...plainAttention,
      name,
      prefixes: ["roberta."],
      // The rows up to padding's are no token's.
      positions: rows - padding - 1,
      embeddings: {
        width,
        tokenTypes: file.type_vocab_size,
        positions: { rows, padding },
        projection: null,
      },
      layer: bertLayer,
      sequenceHead: {
        dense: "classifier.dense",
        activation: "tanh",
        classifier: "classifier.out_proj",
      },
      maskedHeads: [
        {
          dense: "lm_head.dense",
          activation: "gelu",
          norm: "lm_head.layer_norm",
          width,
          decoder: "lm_head.decoder.weight",
          bias: ["lm_head.decoder.bias", "lm_head.bias"],
        },
      ],
    };
  });
}

export const roberta = named("roberta", 50_265);
export const xlmRoberta = named("xlm-roberta", 30_522);
