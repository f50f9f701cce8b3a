/** A folder as a model of the catalog: a checkpoint, or an adapter on one. */
import { access, stat } from "node:fs/promises";
import path from "node:path";
import type { Task } from "#contract/tasks.ts";
import { readTokenizerFiles } from "../tokenizer/tokenizer-file.ts";
import { type Adapter, adapterFiles, readAdapter } from "./adapter-folder.ts";
import { type CatalogueWords, type Checkpoint, readCheckpoint } from "./checkpoint.ts";

/** What can be told of an adapter's folder without its base. */
export type AdapterModel = {
  folder: string;
  adapter: Adapter;
  tasks: Task[];
  /** Null: the base says. */
  limits: null;
  licence: string | null;
  /** Bytes of the head. */
  sizeBytes: number;
};

async function describeAdapter(folder: string, adapter: Adapter): Promise<AdapterModel> {
  const { size } = await stat(path.join(folder, adapterFiles.weights));
  const { task, licence } = adapter;
  return { folder, adapter, tasks: [task], limits: null, licence, sizeBytes: size };
}

export function isAdapter(model: object): model is AdapterModel {
  return "adapter" in model;
}

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

/**
 * Reads the files of a bare vocabulary, which are small; a tokenizer.json may take a second, and is read with the
 * weights.
 */
async function expectTokenizer(folder: string): Promise<void> {
  const isThere = await access(path.join(folder, "tokenizer.json")).then(
    () => true,
    () => false,
  );
  if (!isThere) await readTokenizerFiles(folder);
}
