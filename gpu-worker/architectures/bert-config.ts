/**
 * config.json of a BERT checkpoint, as transformers has written it since version 2: what decides the graph, under our
 * names. What would make it another graph (relative positions, a decoder) is refused.
 */
import * as z from "zod";
import { activationNames } from "./activation.ts";

const File = z.looseObject({
  model_type: z.literal("bert"),
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  intermediate_size: z.int().positive(),
  max_position_embeddings: z.int().positive(),
  type_vocab_size: z.int().positive().default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: z.enum(activationNames).default("gelu"),
  position_embedding_type: z.literal("absolute").nullish(),
  is_decoder: z.literal(false).nullish(),
  add_cross_attention: z.literal(false).nullish(),
});

export const BertConfig = File.transform((file) => ({
  vocabularySize: file.vocab_size,
  hidden: file.hidden_size,
  layers: file.num_hidden_layers,
  heads: file.num_attention_heads,
  intermediate: file.intermediate_size,
  positions: file.max_position_embeddings,
  tokenTypes: file.type_vocab_size,
  epsilon: file.layer_norm_eps,
  activation: file.hidden_act,
})).refine(({ hidden, heads }) => hidden % heads === 0, {
  message: "hidden_size does not divide by num_attention_heads",
});
export type BertConfig = z.infer<typeof BertConfig>;
