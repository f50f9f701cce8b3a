/** A folder as a model of the catalog: a checkpoint, or an adapter on one. */
import { access } from "node:fs/promises";
import path from "node:path";
import { readTokenizerFiles } from "../tokenizer/tokenizer-file.ts";
import { readAdapter } from "./adapter-folder.ts";
import { type AdapterModel, describeAdapter } from "./adapter-model.ts";
import { type CatalogueWords, type Checkpoint, readCheckpoint } from "./checkpoint.ts";

export type ModelFolder = Checkpoint | AdapterModel;

/** @throws Error whose message completes "the folder cannot be served: …" */
export async function readModelFolder(
  folder: string,
  words: CatalogueWords = {},
): Promise<ModelFolder> {
  const adapter = await readAdapter(folder);
  if (adapter !== null) return describeAdapter(folder, adapter);
  const checkpoint = await readCheckpoint(folder, words);
  await expectTokenizer(folder);
  return checkpoint;
}

/** Reads the files of a bare vocabulary, which are small; a tokenizer.json may take a second, and is read with the weights. */
async function expectTokenizer(folder: string): Promise<void> {
  const isThere = await access(path.join(folder, "tokenizer.json")).then(
    () => true,
    () => false,
  );
  if (!isThere) await readTokenizerFiles(folder);
}
