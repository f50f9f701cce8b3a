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
import type { KnownModel, KnownModels } from "./known-models.ts";
import { type Base, type BaseReference, wrongBase } from "./adapter-base.ts";
import { adapterLimits, isStacked } from "./load-adapter.ts";
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

/** The edge sends no request for a model that is not here or cannot be served: nobody else finds out that it is now. */
const recheckMs = 5_000;
const sweepMs = 3_600_000;

export class Catalog {
  /** The operator's folders first. */
  #entries: readonly ModelEntry[] = [];
  /** No longer listed, and still in use. */
  readonly #retired = new Set<ModelEntry>();
  readonly #newEntry: (known: KnownModel) => ModelEntry;
  readonly #list: () => Promise<KnownModels>;
  readonly #tuned: TunedEntries;
  readonly #log: CatalogLog;
  readonly #ownDispatcher: Dispatcher | null;
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #rechecking: NodeJS.Timeout | null = null;
  #sweeping: NodeJS.Timeout | null = null;
  #identifying: Promise<void> = Promise.resolve();
  #rechecked: Promise<void> = Promise.resolve();

  /** @param list what there is now, the operator's folders first */
  constructor(
    list: () => Promise<KnownModels>,
    { fetching, tuned, ownDispatcher, loading, contextTokens, log, now }: CatalogDependencies,
  ) {
    const memory = new ModelMemory({
      budget: loading.modelsMemory,
      residents: () => [
        ...this.#all().flatMap(({ resident }) => resident ?? []),
        ...this.#tuned.residents,
      ],
      unload: (id) => this.#makeWay(id),
    });
    const loader = new ModelLoader(loading, {
      baseOf: (adapter) => this.#baseOf(adapter),
      unloadIdleAdapter: (base) => this.#unloadIdleAdapter(base),
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
    this.#list = list;
    this.#log = log;
    this.#ownDispatcher = ownDispatcher;
    this.#newEntry = (known) => new ModelEntry(known, dependencies);
    this.#tuned = new TunedEntries({ ...dependencies, folders: tuned, log });
  }

  /**
   * Looks at the files that are here; resolves when every model's state is told. Their digests are told as they are
   * found.
   */
  async begin(): Promise<void> {
    const { models, problem } = await this.#list();
    if (problem !== null) this.#log.warn({}, problem);
    this.#entries = models.map(this.#newEntry);
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

  /**
   * Looks again at the operator's folders: at new ones, at those that have gone, at adapters whose files were replaced,
   * and at models that cannot be served where their files have changed. Done by itself every few seconds.
   */
  recheck(): Promise<void> {
    const failed = (error: unknown) => this.#log.warn({ error }, "folders could not be looked at");
    this.#rechecked = this.#rechecked.then(() => this.#recheck()).catch(failed);
    return this.#rechecked;
  }

  async #recheck(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const others = await this.#relist();
    await Promise.all(this.#entries.map((entry) => entry.recheck(others)));
  }

  /** What goes is unloaded when nobody uses it; nothing else notices. @returns whether there are other models now */
  async #relist(): Promise<boolean> {
    const { models, problem } = await this.#list();
    // For a moment the folder cannot be read: its models stay.
    if (problem !== null) return false;
    const before = new Map(this.#entries.map((entry) => [placeOf(entry.known), entry]));
    const found = await Promise.all(
      models.map(async (known) => {
        const entry = before.get(placeOf(known));
        return entry === undefined || (await entry.isOutdated()) ? this.#newEntry(known) : entry;
      }),
    );
    const added = found.filter((entry) => !this.#entries.includes(entry));
    const left = this.#entries.filter((entry) => !found.includes(entry));
    if (added.length + left.length === 0) return false;
    await Promise.all(added.map((entry) => entry.inspect()));
    this.#entries = found;
    for (const entry of left) {
      this.#retired.add(entry);
      entry.retire();
      this.#log.info({ model: entry.known.id }, "its folder has gone, or is another now");
    }
    this.#tell();
    this.#identifying = this.#identifying.then(() => this.#identifyAll());
    return true;
  }

  #all(): ModelEntry[] {
    for (const entry of this.#retired) if (entry.gone) this.#retired.delete(entry);
    return [...this.#entries, ...this.#retired];
  }

  /** Ends all work and unloads all models. */
  async close(): Promise<void> {
    for (const timer of [this.#rechecking, this.#sweeping]) clearInterval(timer ?? undefined);
    this.#closing.abort(new Error("The catalog is closed"));
    await this.#rechecked;
    await Promise.all([
      this.#identifying,
      ...this.#all().map((entry) => entry.release()),
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

  #baseEntry(named: BaseReference): ModelEntry | undefined {
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
    if (base === undefined) return state;
    const { limits, tasks } = base.state();
    const asBase = adapter.kind === "decoder" && adapter.chatTemplate === null;
    const own = asBase ? { ...state, tasks } : state;
    if (state.limits !== null || limits === null) return own;
    return { ...own, limits: adapterLimits(adapter, limits) };
  }

  async #unloadIdleAdapter(base: string): Promise<boolean> {
    const own = this.#entries.map((entry): [string, ModelEntry] => [entry.known.id, entry]);
    const idle = [...own, ...this.#tuned.keyed].flatMap(([key, { folder, resident }]) => {
      if (resident === null || resident.inUse || folder === null || !isAdapter(folder)) return [];
      const { adapter } = folder;
      const isRun = isStacked(adapter) && this.#baseEntry(adapter)?.known.id === base;
      return isRun ? [{ key, usedAt: resident.usedAt }] : [];
    });
    const [oldest] = idle.toSorted((a, b) => a.usedAt - b.usedAt);
    if (oldest === undefined) return false;
    await this.#makeWay(oldest.key);
    return true;
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

/** The id with where its files are. */
function placeOf({ id, place }: KnownModel): string {
  return place.kind === "folder" ? `${id}\n${place.folder}` : id;
}

/** By its name, or by weights that are known without reading them. Adapters are nobody's base. */
function mayBe({ known, folder }: ModelEntry, { baseName, baseDigest }: BaseReference): boolean {
  if (folder !== null && isAdapter(folder)) return false;
  if (known.id === baseName || known.aliases.includes(baseName)) return true;
  return baseDigest !== null && folder?.derivedFrom === baseDigest;
}
