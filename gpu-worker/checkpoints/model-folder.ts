/** A folder as a model of the catalog: an encoder's checkpoint, a decoder's, or an adapter on one. */
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Task } from "#contract/tasks.ts";
import { adapterFiles } from "./adapter-files.ts";
import { type Adapter, readAdapter } from "./adapter-folder.ts";
import { type CatalogueWords, type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import { type DecoderCheckpoint, readDecoderCheckpoint } from "./decoder-checkpoint.ts";
import { expectTokenizer } from "./expect-tokenizer.ts";

const decoderTasks = ["text-generation", "chat-completion"] as const;

/** What can be told of an adapter's folder without its base. */
export type AdapterOf<Kind extends Adapter> = {
  folder: string;
  adapter: Kind;
  tasks: Task[];
  /** Null: the base says. */
  limits: null;
  licence: string | null;
  /** Bytes of its weights. */
  sizeBytes: number;
};

export type AdapterModel = AdapterOf<Adapter>;

async function describeAdapter(folder: string, adapter: Adapter): Promise<AdapterModel> {
  const { size } = await stat(path.join(folder, adapterFiles.weights));
  const { licence } = adapter;
  // A decoder's base says whether it takes conversations.
  const tasks: Task[] = adapter.kind === "encoder" ? [adapter.task] : [...decoderTasks];
  return { folder, adapter, tasks, limits: null, licence, sizeBytes: size };
}

export function isAdapter(model: object): model is AdapterModel {
  return "adapter" in model;
}

export function isDecoderFolder(model: object): model is DecoderCheckpoint {
  return "kind" in model && model.kind === "decoder";
}

export type ModelFolder = Checkpoint | DecoderCheckpoint | AdapterModel;

export type FolderOptions = CatalogueWords & {
  /** Of a decoder's prompt and answer together, at most; null: see `decoderTokensMax`. */
  contextTokens?: number | null;
};

/** @throws Error whose message completes "the folder cannot be served: …" */
export async function readModelFolder(
  folder: string,
  { contextTokens = null, ...words }: FolderOptions = {},
): Promise<ModelFolder> {
  const adapter = await readAdapter(folder);
  if (adapter !== null) return describeAdapter(folder, adapter);
  const decoder = await readDecoderCheckpoint(folder, contextTokens);
  if (decoder !== null) return decoder;
  const checkpoint = await readCheckpoint(folder, words);
  await expectTokenizer(folder);
  return checkpoint;
}
