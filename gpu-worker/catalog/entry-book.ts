/** The entries of a catalog together: who is meant by a name, whose base is whose, and who is unloaded for whom. */
import { CodedError } from "#contract/errors.ts";
import type { ModelState } from "#contract/models.ts";
import type { Adapter } from "../checkpoints/adapter-folder.ts";
import { adapterLimits, wrongBase } from "./load-adapter.ts";
import { type AdapterModel, isAdapter } from "../checkpoints/model-folder.ts";
import type { Base } from "./entry-work.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { type ModelEntry, failedState } from "./model-entry.ts";
import { modelFailure } from "./model-failure.ts";
import { planUnloads } from "./unload-plan.ts";

type Note = (fields: object, message: string) => void;
type BookLog = { info: Note; warn: Note };

export class EntryBook {
  readonly #entries: readonly ModelEntry[];
  readonly #budget: number;
  readonly #log: BookLog;
  /** Bytes of the models that are being loaded. */
  #claimed = 0;

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

  /** Of all models; an adapter that is not loaded has its base's limits, within its own. */
  states(): ModelState[] {
    return this.#entries.map((entry) => {
      const { folder } = entry;
      const state = entry.state();
      return folder === null || !isAdapter(folder) ? state : this.#adapterState(state, folder);
    });
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

  #baseEntry(named: Pick<Adapter, "baseName" | "baseDigest">): ModelEntry | undefined {
    return [this.find(named.baseName), ...this.#entries].find(
      (each): each is ModelEntry => each !== undefined && mayBe(each, named),
    );
  }

  /**
   * Loads a model of about so many bytes once the least recently used of those nobody uses have made room. What several
   * loads at once need is counted together, and what a model really takes is made room for once it is known.
   */
  async withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel> {
    let claimed = bytes;
    this.#claimed += claimed;
    try {
      await this.#makeRoom();
      const model = await load();
      this.#claimed += model.bytes - claimed;
      claimed = model.bytes;
      await this.#makeRoom();
      return model;
    } finally {
      this.#claimed -= claimed;
    }
  }

  /** Unloads the model unless it is in use; ends the work where it is being loaded. */
  async release(name: string): Promise<void> {
    const entry = this.find(name);
    if (entry === undefined || entry.resident?.inUse === true) return;
    await entry.release();
  }

  /** One by one: with an adapter gone, its base may be the next, and somebody may have come for a model meanwhile. */
  async #makeRoom(): Promise<void> {
    for (;;) {
      const [id] = planUnloads(this.#residents(), this.#claimed, this.#budget);
      if (id === undefined) return;
      this.#log.info({ model: id }, "unloaded to make room");
      try {
        await this.find(id)?.release();
      } catch (error) {
        // It is gone from the list all the same, and whoever needs the room is not to blame.
        this.#log.warn({ error, model: id }, "a model could not be unloaded cleanly");
      }
    }
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
