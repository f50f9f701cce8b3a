/**
 * Models of the catalog that came with requests for them: each is a tenant's own, known by its name and digest
 * together, and told to nobody. Bounded in number: the least recently asked for of those that nobody uses are
 * forgotten; their files stay while there is room.
 */
import type { TunedModelSource } from "#contract/training/tuned-model.ts";
import type { TunedFolders } from "../downloads/tuned-folders.ts";
import type { ModelLease } from "../model/served-model.ts";
import type { ModelPlace } from "./known-models.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { type EntryDependencies, ModelEntry } from "./model-entry.ts";
import type { Resident } from "./unload-plan.ts";

export const tunedEntriesMax = 200;

export type TunedEntriesOptions = Omit<EntryDependencies, "onChange"> & {
  folders: TunedFolders;
  log: { warn: (fields: object, message: string) => void };
};

/** The time of a model's files is written once in so long. */
const touchedEveryMs = 60_000;

type TunedEntry = {
  entry: ModelEntry;
  /** Of its files. */
  digest: string;
  touchedAtMs: number;
};

export class TunedEntries {
  readonly #options: TunedEntriesOptions;
  /** By name and digest, the one asked for last at the end. */
  readonly #entries = new Map<string, TunedEntry>();
  readonly #noted = new WeakSet<LoadedModel>();

  constructor(options: TunedEntriesOptions) {
    this.#options = options;
  }

  /** @throws CodedError as `Catalog.lease` */
  async lease(source: TunedModelSource, signal: AbortSignal): Promise<ModelLease<LoadedModel>> {
    const known = this.#of(source);
    const lease = await known.entry.lease(signal);
    await this.#note(known, lease.model);
    return lease;
  }

  /** The entry of a model, made where there is none. */
  #of(source: TunedModelSource): TunedEntry {
    const { name, digest } = source;
    const key = `${name} ${digest}`;
    const known = this.#entries.get(key) ?? {
      entry: this.#open(source),
      digest,
      touchedAtMs: -Infinity,
    };
    this.#entries.delete(key);
    this.#entries.set(key, known);
    this.#touch(known);
    this.#forgetOldest();
    return known;
  }

  /** Once each time it is loaded. */
  async #note(known: TunedEntry, model: LoadedModel): Promise<void> {
    if (this.#noted.has(model)) return;
    this.#noted.add(model);
    try {
      await this.#options.folders.noteLoaded(known, model.digest);
    } catch (error) {
      this.#options.log.warn({ error }, "what a tuned model takes of the disk could not be noted");
    }
  }

  /** What they keep in memory, each by its key here. */
  get residents(): Resident[] {
    return this.keyed.flatMap(([id, { resident }]) =>
      resident === null ? [] : { ...resident, id },
    );
  }

  get keyed(): [key: string, entry: ModelEntry][] {
    return [...this.#entries].map(([key, { entry }]) => [key, entry]);
  }

  /** @param key as `residents` names it */
  find(key: string): ModelEntry | undefined {
    return this.#entries.get(key)?.entry;
  }

  /** Deletes files that nobody asked for in a day. */
  sweep(): Promise<void> {
    return this.#options.folders.sweep(this.#uses);
  }

  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    await Promise.all(entries.map(({ entry }) => entry.release()));
  }

  /** Whether a model of those files is being loaded or used: one that is only loaded has been read. */
  readonly #uses = (digest: string): boolean =>
    [...this.#entries.values()].some((each) => each.digest === digest && each.entry.busy);

  #open(source: TunedModelSource): ModelEntry {
    const { folders } = this.#options;
    const place: ModelPlace = {
      kind: "tuned",
      present: () => folders.present(source),
      fetch: (options) => folders.fetch(source, this.#uses, options),
    };
    const known = { id: source.name, aliases: [], place, manifest: null };
    // Its state is nobody's news.
    return new ModelEntry(known, { ...this.#options, onChange: () => undefined });
  }

  #touch(known: TunedEntry): void {
    const nowMs = this.#options.now();
    if (nowMs - known.touchedAtMs < touchedEveryMs) return;
    known.touchedAtMs = nowMs;
    void this.#options.folders.touch(known);
  }

  #forgetOldest(): void {
    for (const [key, { entry }] of this.#entries) {
      if (this.#entries.size <= tunedEntriesMax) return;
      if (entry.busy) continue;
      this.#entries.delete(key);
      entry.release().catch((error: unknown) => {
        this.#options.log.warn({ error, model: key }, "a model could not be unloaded cleanly");
      });
    }
  }
}
