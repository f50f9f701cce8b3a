/**
 * The small files of a checkpoint folder, as the hub's libraries write them: what of each we rely on, and nothing else.
 * Lenient to everything beyond, since every tool adds fields of its own.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";

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
  derivedFrom: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullish(),
});

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** @returns null where there is no such file. @throws where it is there and cannot be used, naming it */
export async function readJson<T>(
  folder: string,
  name: string,
  schema: z.ZodType<T>,
): Promise<T | null> {
  const text = await readFile(path.join(folder, name), "utf8").catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${name} cannot be used: ${why}`, { cause: error });
  }
}
