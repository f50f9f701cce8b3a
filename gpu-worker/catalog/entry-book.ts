/** The entries of a catalog together: who is meant by a name, whose base is whose, and who is unloaded for whom. */
import { CodedError } from "#contract/errors.ts";
import type { Adapter } from "./adapter-folder.ts";
import { isAdapter } from "./adapter-model.ts";
import type { Base } from "./entry-work.ts";
import type { ModelEntry } from "./model-entry.ts";
import { planUnloads } from "./unload-plan.ts";

type BookLog = { info: (fields: object, message: string) => void };

export class EntryBook {
  readonly #entries: readonly ModelEntry[];
  readonly #budget: number;
  readonly #log: BookLog;

  /** @param budget bytes of all loaded models together */
  constructor(entries: readonly ModelEntry[], budget: number, log: BookLog) {
    this.#entries = entries;
    this.#budget = budget;
    this.#log = log;
  }

  /** By id, then by alias. */
  find(name: string): ModelEntry | undefined {
    return (
      this.#entries.find(({ known }) => known.id === name) ??
      this.#entries.find(({ known }) => known.aliases.includes(name))
    );
  }

  /** @throws CodedError `model_not_found` */
  known(name: string): ModelEntry {
    const entry = this.find(name);
    if (entry !== undefined) return entry;
    throw new CodedError("model_not_found", `The model ${name} is not known to this worker`);
  }

  /**
   * The model an adapter names, or another form of the same weights.
   * @throws Error whose message completes "the model cannot be served: …"
   */
  baseOf({ baseName, baseDigest }: Adapter): Base {
    const entry = [this.find(baseName), ...this.#entries].find(
      (each) => each !== undefined && mayBe(each, { baseName, baseDigest }),
    );
    if (entry === undefined) throw new Error(`its base ${baseName} is not known to this worker`);
    return {
      lease: (signal) => entry.lease(signal),
      async digest(signal) {
        await entry.identify(signal);
        if (entry.digest !== null) return entry.digest;
        throw new Error(`its base ${baseName} is not here yet`);
      },
    };
  }

  /** Unloads the least recently used models that nobody uses, until so many bytes fit. */
  async makeRoom(bytes: number): Promise<void> {
    const unloaded = planUnloads(this.#residents(), bytes, this.#budget);
    for (const id of unloaded) {
      const entry = this.find(id);
      // Somebody may have come for it while others were unloaded.
      if (entry?.resident?.inUse !== false) continue;
      this.#log.info({ model: id }, "unloaded to make room");
      await entry.release();
    }
    // An adapter holds its base: with the adapter gone, the base may go too.
    const more = planUnloads(this.#residents(), bytes, this.#budget);
    if (unloaded.length > 0 && more.length > 0) await this.makeRoom(bytes);
  }

  #residents() {
    return this.#entries.flatMap(({ resident }) => resident ?? []);
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
