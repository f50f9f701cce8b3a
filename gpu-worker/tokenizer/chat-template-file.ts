/**
 * Where a checkpoint has its chat template: a file of its own, tokenizer_config.json, or the metadata of a GGUF file,
 * in this order, so that what lies in the folder can correct a file that was converted. Of a list of named templates it
 * is the one named "default", as in transformers; the others are for tools and retrieval.
 */
import * as z from "zod";
import { readJson, readText } from "../files/json-file.ts";

const NamedTemplates = z
  .array(z.object({ name: z.string(), template: z.string() }))
  .transform((named) => named.find(({ name }) => name === "default")?.template ?? null);

const ConfigFile = z.looseObject({
  chat_template: z.union([z.string(), NamedTemplates]).nullish(),
});

export type ChatTemplatePlaces = {
  folder: string;
  /** `tokenizer.chat_template` of its GGUF file; null: it has none. */
  gguf: string | null;
};

/** @returns Jinja's text; null: it has none. @throws where a file is damaged, naming it */
export async function findChatTemplate({
  folder,
  gguf,
}: ChatTemplatePlaces): Promise<string | null> {
  const own = await readText(folder, "chat_template.jinja");
  if (own !== null) return own;
  const config = await readJson(folder, "tokenizer_config.json", ConfigFile);
  return config?.chat_template ?? gguf;
}
