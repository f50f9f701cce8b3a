/**
 * The models of this worker: what is known, what state each is in, and a loaded model for whoever asks. Files are
 * fetched and graphs compiled when a model is first asked for; a model that cannot be had is listed with the reason.
 */
import type { Dispatcher } from "undici";
import { CodedError } from "#contract/errors.ts";
import type { ModelState } from "#contract/models.ts";
import type { TunedModelSource } from "#contract/training/tuned-model.ts";
import type { Adapter } from "../checkpoints/adapter-folder.ts";
import { type AdapterModel, isAdapter } from "../checkpoints/model-folder.ts";
import type { FetchSettings } from "../downloads/fetch-model.ts";
import type { TunedFolders } from "../downloads/tuned-folders.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { KnownModel } from "./known-models.ts";
import { adapterLimits, type Base, wrongBase } from "./load-adapter.ts";
import { ModelLoader } from "./load-model.ts";
import type { LoaderDependencies } from "./loader-dependencies.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { failedState, ModelEntry } from "./model-entry.ts";
import { modelFailure } from "./model-failure.ts";
import { ModelMemory } from "./model-memory.ts";
import { TunedEntries } from "./tuned-entries.ts";

/** A pino logger fits. */
export type CatalogLog = {
  info: (fields: object, message: string) => void;
  warn: (fields: object, message: string) => void;
};

export type CatalogDependencies = {
  /** How models that are not here are fetched. */
  fetching: FetchSettings;
  /** Where tenants' own models are kept. */
  tuned: TunedFolders;
  /** Destroyed with the catalog; null: whoever opened it sees to that. */
  ownDispatcher: Dispatcher | null;
  loading: LoaderDependencies;
  /** Of a decoder's prompt and answer together, at most; null: as is usual. */
  contextTokens: number | null;
  log: CatalogLog;
  /** Milliseconds since the epoch. */
  now(): number;
};

/** The edge sends no request for a model that cannot be served, so nobody else finds out that it was mended. */
const recheckMs = 5_000;
const sweepMs = 3_600_000;

export class Catalog {
  readonly #entries: readonly ModelEntry[];
  readonly #tuned: TunedEntries;
  readonly #log: CatalogLog;
  readonly #ownDispatcher: Dispatcher | null;
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #rechecking: NodeJS.Timeout | null = null;
  #sweeping: NodeJS.Timeout | null = null;
  #identifying: Promise<void> = Promise.resolve();

  /** @param models the operator's folders first */
  constructor(
    models: readonly KnownModel[],
    { fetching, tuned, ownDispatcher, loading, contextTokens, log, now }: CatalogDependencies,
  ) {
    const memory = new ModelMemory({
      budget: loading.modelsMemory,
      residents: () => [
        ...this.#entries.flatMap(({ resident }) => resident ?? []),
        ...this.#tuned.residents,
      ],
      unload: (id) => this.#makeWay(id),
    });
    const loader = new ModelLoader(loading, {
      baseOf: (adapter) => this.#baseOf(adapter),
      withRoom: (bytes, load) => memory.withRoom(bytes, load),
    });
    const dependencies = {
      fetching,
      loader,
      contextTokens,
      now,
      onChange: () => this.#tell(),
      onFailure: (error: CodedError) => log.warn({ error }, "a model cannot be served"),
    };
    this.#log = log;
    this.#ownDispatcher = ownDispatcher;
    this.#entries = models.map((known) => new ModelEntry(known, dependencies));
    this.#tuned = new TunedEntries({ ...dependencies, folders: tuned, log });
  }

  /**
   * Looks at the files that are here; resolves when every model's state is told. Their digests are told as they are
   * found.
   */
  async begin(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => entry.inspect()));
    this.#rechecking = setInterval(() => void this.recheck(), recheckMs).unref();
    this.#sweeping = setInterval(() => void this.#sweep(), sweepMs).unref();
    this.#identifying = this.#identifyAll();
  }

  /** Of all known models; an adapter that is not loaded has its base's limits, within its own. */
  states(): ModelState[] {
    return this.#entries.map((entry) => {
      const { folder } = entry;
      const state = entry.state();
      return folder === null || !isAdapter(folder) ? state : this.#adapterState(state, folder);
    });
  }

  /** @returns takes the listener away again */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The model by its id or an alias, loaded. What is not here yet is fetched first; waiting ends with the signal, the
   * work with the last who waits.
   * @throws CodedError `model_not_found`, `model_not_servable` for what stays so until its files change,
   * `model_unavailable` for what may pass, or the signal's reason
   */
  async acquire(name: string, signal: AbortSignal): Promise<LoadedModel> {
    return this.#known(name).acquire(signal);
  }

  /**
   * Fetches and loads a model whose files are not here, for who will ask for it. Where it cannot be fetched, the model
   * is as it was, and its state tells the reason.
   * @throws as `acquire`
   */
  async prefetch(name: string, signal: AbortSignal): Promise<void> {
    await this.#known(name).prefetch(signal);
  }

  /**
   * As `acquire`; the model stays loaded until the lease is released.
   * @param tuned a tenant's own model, and no other of that name: fetched where it is not here
   */
  async lease(
    name: string,
    signal: AbortSignal,
    tuned?: TunedModelSource,
  ): Promise<ModelLease<LoadedModel>> {
    return tuned === undefined ? this.#known(name).lease(signal) : this.#tuned.lease(tuned, signal);
  }

  /**
   * Unloads a model that nobody holds a lease of, or ends the work on it; it can be acquired again. Runs asked for
   * before are finished. One in use stays: its leases, and the adapters on it, count on its session.
   */
  async release(name: string): Promise<void> {
    const entry = this.#find(name);
    if (entry === undefined || entry.resident?.inUse === true) return;
    await entry.release();
  }

  /** Looks again at models that cannot be served, where their files have changed. Done by itself every few seconds. */
  async recheck(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => entry.recheck()));
  }

  /** Ends all work and unloads all models. */
  async close(): Promise<void> {
    for (const timer of [this.#rechecking, this.#sweeping]) clearInterval(timer ?? undefined);
    this.#closing.abort(new Error("The catalog is closed"));
    await Promise.all([
      this.#identifying,
      ...this.#entries.map((entry) => entry.release()),
      this.#tuned.close(),
    ]);
    await this.#ownDispatcher?.destroy();
  }

  async #sweep(): Promise<void> {
    try {
      await this.#tuned.sweep();
    } catch (error) {
      this.#log.warn({ error }, "tuned models that nobody uses could not be deleted");
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Announces the digests of models whose files are here, one model after the other. */
  async #identifyAll(): Promise<void> {
    const { signal } = this.#closing;
    for (const entry of this.#entries) {
      try {
        await entry.identify(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn({ error, model: entry.known.id }, "the model's files could not be read");
      }
    }
  }

  /** By id, then by alias. */
  #find(name: string): ModelEntry | undefined {
    return (
      this.#entries.find(({ known }) => known.id === name) ??
      this.#entries.find(({ known }) => known.aliases.includes(name))
    );
  }

  /** @throws CodedError `model_not_found` */
  #known(name: string): ModelEntry {
    const entry = this.#find(name);
    if (entry !== undefined) return entry;
    throw new CodedError("model_not_found", `The model ${name} is not known to this worker`);
  }

  /**
   * The model an adapter names, or another form of the same weights.
   * @throws Error whose message completes "the model cannot be served: …"
   */
  #baseOf({ baseName, baseDigest }: Adapter): Base {
    const entry = this.#baseEntry({ baseName, baseDigest });
    if (entry === undefined) throw new Error(`its base ${baseName} is not known to this worker`);
    return {
      lease: (signal) => entry.lease(signal),
      async digest(signal) {
        await entry.identify(signal);
        if (entry.digest !== null || entry.folder !== null) return entry.digest;
        throw new Error(`its base ${baseName} is not here yet`);
      },
    };
  }

  #baseEntry(named: Pick<Adapter, "baseName" | "baseDigest">): ModelEntry | undefined {
    return [this.#find(named.baseName), ...this.#entries].find(
      (each): each is ModelEntry => each !== undefined && mayBe(each, named),
    );
  }

  /** With what its base says of it. */
  #adapterState(state: ModelState, { adapter }: AdapterModel): ModelState {
    const base = this.#baseEntry(adapter);
    const wrong =
      base === undefined ? null : wrongBase(adapter, base.known.id, base.upstreamDigest);
    if (state.status === "available" && wrong !== null) {
      return { ...state, ...failedState(modelFailure(state.id, wrong)) };
    }
    const limits = base?.state().limits ?? null;
    if (state.limits !== null || limits === null) return state;
    return { ...state, limits: adapterLimits(adapter, limits) };
  }

  /** Unloads a model for another. */
  async #makeWay(id: string): Promise<void> {
    this.#log.info({ model: id }, "unloaded to make room");
    try {
      await (this.#find(id) ?? this.#tuned.find(id))?.release();
    } catch (error) {
      // It is gone from the list all the same, and whoever needs the room is not to blame.
      this.#log.warn({ error, model: id }, "a model could not be unloaded cleanly");
    }
  }
}

/** By its name, or by weights that are known without reading them. Adapters are nobody's base. */
function mayBe(
  { known, folder }: ModelEntry,
  { baseName, baseDigest }: Pick<Adapter, "baseName" | "baseDigest">,
): boolean {
  if (folder !== null && isAdapter(folder)) return false;
  if (known.id === baseName || known.aliases.includes(baseName)) return true;
  return folder?.derivedFrom === baseDigest;
}
