/**
 * A catalog for this machine, from the operator's settings. Nothing here fails at start but a form that cannot be
 * computed.
 */
import { type Dispatcher, EnvHttpProxyAgent } from "undici";
import type { KvCacheForm } from "../architectures/decoder-form.ts";
import { calibrate, calibrationKey } from "../compute-form/calibrate.ts";
import { DecoderForms } from "../compute-form/decoder-form-choice.ts";
import {
  deviceFormChoice,
  FormError,
  type FormSetting,
  openFormChoice,
} from "../compute-form/form-choice.ts";
import { openKeptFigures } from "../compute-form/int8-accuracy.ts";
import { type PythonCommands, pythonCommands } from "../downloads/pip-wheel.ts";
import { type OpenObject, TunedFolders } from "../downloads/tuned-folders.ts";
import { openKeptDigests } from "../files/kept-digests.ts";
import { openGraphCache } from "../graphs/graph-cache.ts";
import { decoderBuilderVersion } from "../graphs/graph-key.ts";
import type { Provider, Runtime } from "../runtime/session.ts";
import { Catalog, type CatalogLog } from "./catalog.ts";
import { deviceMemory } from "./device-memory.ts";
import { listKnownModels } from "./known-models.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import { memoryBudget, runsBudget } from "./memory-budget.ts";

export type CatalogSettings = {
  stateFolder: string;
  /** Of compiled graphs and measurements; by default the state folder. */
  cacheFolder?: string;
  /** A folder whose subfolders are models of the operator's; null for none. */
  modelsFolder: string | null;
  hub: { endpoint: string; token: string | null };
  form: FormSetting;
  /** Of decoders. Default: float. */
  kvCache?: KvCacheForm;
  device: "auto" | "cpu" | "cuda";
  /** Bytes of all loaded models together; null for half of what this process may use. */
  memory?: number | null;
  /** Of a decoder's prompt and answer together, at most; null for `decoderTokensMax`. */
  contextTokens?: number | null;
  /** Bytes that all runs take together, at most; null for a quarter of what this process may use. */
  runsMemory?: number | null;
  /** Bytes of tenants' own models on the disk; null for 10 GiB. */
  tunedBytes?: number | null;
};

export type CatalogTools = {
  runtime: Runtime;
  log: CatalogLog;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** How the hub is reached; by default as HTTP_PROXY and its like say. */
  dispatcher?: Dispatcher;
  /** Where files of tenants' own models come from; absent: they cannot be had. */
  openObject?: OpenObject;
  pythonCommands?: PythonCommands;
  retryDelayMs?: number;
};

const tunedBytesDefault = 10 * 2 ** 30;

/** The hub is slow to start a large file at times; a connection that gives nothing for a minute is dead. */
export const hubTimeouts = { headersTimeout: 60_000, bodyTimeout: 60_000 };

/** The GPU's memory, where one computes. */
function memoryOfDevice({ device, memory }: CatalogSettings, { runtime }: CatalogTools) {
  const computes = device !== "cpu" && runtime.providers.includes("cuda");
  return computes ? deviceMemory(runtime.deviceMemoryBytes ?? 0, memory ?? null) : null;
}

export function cacheFolderOf({ cacheFolder, stateFolder }: CatalogSettings): string {
  return cacheFolder ?? stateFolder;
}

function openForms(settings: CatalogSettings, { runtime, log }: CatalogTools) {
  return openFormChoice({
    setting: settings.form,
    stateFolder: cacheFolderOf(settings),
    machine: calibrationKey(runtime),
    measure: (signal) => calibrate(runtime, signal),
    log,
  });
}

/** @throws FormError for one that the device does not compute with */
function kvCacheOn(provider: Provider, kvCache: KvCacheForm): KvCacheForm {
  if (kvCache === "float" || provider === "cpu") return kvCache;
  throw new FormError(
    `LLM_OS_KV_CACHE is ${kvCache}, but a GPU keeps keys and values in f16: leave it at float`,
  );
}

/** @throws FormError where a form that is set is none of this machine's */
async function openLoading(
  settings: CatalogSettings,
  tools: CatalogTools,
): Promise<LoaderDependencies> {
  const { runtime, log, now } = tools;
  const { form, memory, runsMemory } = settings;
  const folder = cacheFolderOf(settings);
  const digests = openKeptDigests(folder);
  const graphs = openGraphCache(folder, digests);
  await graphs.sweep(now());
  const onDevice = memoryOfDevice(settings, tools);
  const provider = onDevice === null ? "cpu" : "cuda";
  const kvCache = kvCacheOn(provider, settings.kvCache ?? "float");
  return {
    runtime,
    provider,
    kvCache,
    deviceMemory: onDevice,
    digests,
    graphs,
    forms: onDevice === null ? openForms(settings, tools) : deviceFormChoice(form),
    decoderForms: new DecoderForms({
      setting: form,
      provider,
      kvCache,
      stateFolder: folder,
      machine: calibrationKey(runtime),
      builderVersion: decoderBuilderVersion,
      now: () => performance.now(),
      log,
    }),
    figures: openKeptFigures(folder),
    modelsMemory: onDevice?.budget ?? memoryBudget(memory ?? null),
    runsMemory: runsMemory ?? onDevice?.runBytes ?? runsBudget(),
    log,
  };
}

/**
 * @param list what there is; by default the operator's folders, what ships with the worker, and the catalogue
 * @throws FormError where the form that is set is none of this machine's
 */
export async function openCatalog(
  settings: CatalogSettings,
  tools: CatalogTools,
  list = () => listKnownModels(settings.modelsFolder),
): Promise<Catalog> {
  const { stateFolder, hub } = settings;
  const { log, now } = tools;
  const loading = await openLoading(settings, tools);
  const dispatcher = tools.dispatcher ?? new EnvHttpProxyAgent(hubTimeouts);
  const fetching = {
    stateFolder,
    hub: { ...hub, dispatcher },
    retryDelayMs: tools.retryDelayMs ?? 1_000,
    pythonCommands: tools.pythonCommands ?? pythonCommands,
  };
  const catalog = new Catalog(list, {
    fetching,
    tuned: new TunedFolders({
      stateFolder,
      bytesMax: settings.tunedBytes ?? tunedBytesDefault,
      openObject: tools.openObject ?? null,
      derived: loading.graphs,
      retryDelayMs: fetching.retryDelayMs,
      now,
    }),
    ownDispatcher: tools.dispatcher === undefined ? dispatcher : null,
    loading,
    contextTokens: settings.contextTokens ?? null,
    log,
    now,
  });
  await catalog.begin();
  return catalog;
}
