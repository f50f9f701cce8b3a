/**
 * The files that sentence-transformers writes beside a checkpoint, of its first versions to its sixth: what of each
 * changes an answer. Lenient to everything beyond.
 */
import * as z from "zod";
import { similarities } from "../model/sentence-vectors.ts";

/** modules.json: the stages a text goes through. */
export const ModulesFile = z.array(z.object({ path: z.string(), type: z.string() }));

const Settings = z.record(z.string(), z.unknown()).nullish();

/** What a model's class computes of one kind of input, and under which name its result lies. */
const Modality = z.looseObject({
  method: z.string().nullish(),
  method_output_name: z.union([z.string(), z.array(z.string())]).nullish(),
});

/** Names of the file that the encoder stage's settings may lie in; the first that is there counts. */
export const encoderFileNames = [
  "sentence_bert_config.json",
  "sentence_roberta_config.json",
  "sentence_distilbert_config.json",
  "sentence_camembert_config.json",
  "sentence_albert_config.json",
  "sentence_xlm-roberta_config.json",
  "sentence_xlnet_config.json",
] as const;

/** sentence_bert_config.json, of the stage that is the encoder itself. */
export const EncoderFile = z.looseObject({
  max_seq_length: z.int().positive().nullish(),
  do_lower_case: z.boolean().nullish(),
  transformer_task: z.string().nullish(),
  modality_config: z.record(z.string(), Modality).nullish(),
  module_output_name: z.string().nullish(),
  processing_kwargs: Settings,
  query_length: z.unknown().optional(),
  document_length: z.unknown().optional(),
  query_expansion: z.unknown().optional(),
  model_args: Settings,
  model_kwargs: Settings,
  tokenizer_args: Settings,
  processor_kwargs: Settings,
  config_args: Settings,
  config_kwargs: Settings,
});
export type EncoderFile = z.infer<typeof EncoderFile>;

const flag = z.boolean().default(false);

/** config.json of a Pooling stage: one `pooling_mode` since version 5.4, a flag for each way before. */
export const PoolingFile = z.looseObject({
  pooling_mode: z.union([z.string(), z.array(z.string()).min(1)]).nullish(),
  pooling_mode_cls_token: flag,
  pooling_mode_max_tokens: flag,
  pooling_mode_mean_tokens: flag,
  pooling_mode_mean_sqrt_len_tokens: flag,
  pooling_mode_weightedmean_tokens: flag,
  pooling_mode_lasttoken: flag,
  embedding_dimension: z.int().positive().nullish(),
  word_embedding_dimension: z.int().positive().nullish(),
  include_prompt: z.boolean().default(true),
});
export type PoolingFile = z.infer<typeof PoolingFile>;

/** What a stage reads and gives, where it says so. */
const places = {
  module_input_name: z.string().nullish(),
  module_output_name: z.string().nullish(),
};

/** config.json of a Dense stage. */
export const DenseFile = z.looseObject({
  ...places,
  in_features: z.int().positive(),
  out_features: z.int().positive(),
  bias: z.boolean().default(true),
  activation_function: z.string().default("torch.nn.modules.activation.Tanh"),
  use_residual: z.boolean().default(false),
});

export type DenseFile = z.infer<typeof DenseFile>;

/** config.json of a LayerNorm stage. */
export const LayerNormFile = z.looseObject({ dimension: z.int().positive() });

/** config.json of a Normalize stage; older versions write none. */
export const NormalizeFile = z.looseObject(places);

/** config_sentence_transformers.json. */
export const SentenceFile = z.looseObject({
  model_type: z.string().nullish(),
  prompts: z.record(z.string(), z.string().nullable()).nullish(),
  default_prompt_name: z.string().nullish(),
  similarity_fn_name: z.enum(similarities).nullish(),
  truncate_dim: z.int().positive().nullish(),
  activation_fn: z.string().nullish(),
});
export type SentenceFile = z.infer<typeof SentenceFile>;
