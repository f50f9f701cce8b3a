/**
 * `npm run model -- embed ID`: makes the int8 form of a fetched model that the worker may ship with. The origin is the
 * fetched model, or a folder given in its place.
 */
import path from "node:path";
import { embedModel } from "../checkpoints/embed-model.ts";
import { cachedFolder, readFetchRecord } from "../downloads/model-cache.ts";
import { manifestOf } from "./fetch-model.ts";

export type EmbedCommand = {
  stateFolder: string;
  /** A folder with the f32 files; null for the fetched model. */
  from: string | null;
  to: string;
  signal: AbortSignal;
};

async function fetchedFolder(id: string, stateFolder: string): Promise<string> {
  const folder = cachedFolder(stateFolder, id);
  if ((await readFetchRecord(folder)) !== null) return folder;
  throw new Error(`${id} is not here yet: run npm run model -- fetch ${id}, or give --from FOLDER`);
}

/** @returns a line that says what was made */
export async function runEmbed(id: string, command: EmbedCommand): Promise<string> {
  const manifest = manifestOf(id);
  const hub = manifest.sources.find((source) => source.kind === "hub");
  const from = command.from ?? (await fetchedFolder(manifest.id, command.stateFolder));
  const repository = hub?.repository ?? manifest.id;
  const origin = { id: manifest.id, repository, licence: manifest.licence };
  const bytes = await embedModel({ from, to: command.to, origin, signal: command.signal });
  return `${path.resolve(command.to)}: ${(bytes / 1e6).toFixed(1)} MB`;
}
