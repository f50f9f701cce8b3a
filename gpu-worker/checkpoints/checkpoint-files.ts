/**
 * The small files of a checkpoint folder, as the hub's libraries write them: what of each we rely on, and nothing else.
 * Lenient to everything beyond, since every tool adds fields of its own.
 */
import * as z from "zod";
import { tagDecodings } from "../model/model-head.ts";
import { Sha256 } from "../files/file-digest.ts";

/** config.json of the transformers library. What a family needs beyond this is read by its architecture. */
export const ConfigFile = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  /** Classes of the model's own that its maker wrote in Python, by what they stand for. */
  auto_map: z.record(z.string(), z.unknown()).nullish(),
});
export type ConfigFile = z.infer<typeof ConfigFile>;

/** tokenizer_config.json; writers put 1e30 where they mean that there is no limit. */
export const TokenizerConfigFile = z.looseObject({ model_max_length: z.number().nullish() });

/** llm-os.json: what we say of a folder that we made ourselves. */
export const OwnFile = z.looseObject({
  formatVersion: z.literal(1),
  licence: z.string().nullish(),
  /** Where the architecture leaves open what the classes are of. */
  task: z.literal("relation-extraction").nullish(),
  /** Id of the model that finds the entities this one relates. */
  entity_model: z.string().min(1).max(200).nullish(),
  /** sha256 of the upstream f32 weights that these are another form of. */
  derivedFrom: Sha256.nullish(),
  /** Whether it reads words' shapes (model/word-shapes.ts), of which its weights hold a table. */
  word_shapes: z.boolean().nullish(),
  /** Of a tagger: how its tags are chosen. Absent: each word's surest. */
  decoding: z.enum(tagDecodings).nullish(),
});
export type OwnFile = z.infer<typeof OwnFile>;
