/**
 * ELECTRA (Clark et al., https://arxiv.org/abs/2003.10555): BERT's layers over embeddings that may be narrower. The
 * discriminator is what is tuned; the generator alone has a masked-LM head. Names as in transformers'
 * modeling_electra.py.
 */
import * as z from "zod";
import type { Architecture } from "./architecture.ts";
import { bertLayer } from "./bert.ts";
import { bertDefaults, field, plainAttention, size } from "./config-fields.ts";
import { stackFields, stackSizes } from "./config-fields.ts";

const defaultEmbedding = 128;
const defaults = { ...bertDefaults, hidden: 256, heads: 4, intermediate: 1024 };

const File = z.looseObject({
  ...stackFields(defaults),
  embedding_size: field(size, defaultEmbedding),
});

export const electra = File.transform((file): Architecture => {
  const sizes = stackSizes(file);
  const width = file.embedding_size;
  const rows = file.max_position_embeddings;
  const narrower = width !== sizes.hidden;
  return {
    ...sizes,
    ...plainAttention,
    name: "electra",
    prefixes: ["electra."],
    positions: rows,
    embeddings: {
      width,
      tokenTypes: file.type_vocab_size,
      positions: { rows, padding: null },
      projection: narrower ? { name: "embeddings_project", bias: true, place: "after norm" } : null,
    },
    layer: bertLayer,
    sequenceHead: {
      dense: "classifier.dense",
      activation: "gelu",
      classifier: "classifier.out_proj",
    },
    maskedHeads: [
      {
        dense: "generator_predictions.dense",
        activation: "gelu",
        norm: "generator_predictions.LayerNorm",
        width,
        decoder: "generator_lm_head.weight",
        bias: ["generator_lm_head.bias"],
      },
    ],
  };
});
