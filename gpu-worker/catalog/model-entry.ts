/**
 * One model of the catalog through its life: absent, present, at work, loaded, or failed with a reason. Keeps what is
 * announced of it, and does once what several ask for. How files are fetched and graphs compiled is given to it.
 */
import { CodedError } from "#contract/errors.ts";
import type { ModelState } from "#contract/models.ts";
import type { KnownModel } from "./known-models.ts";
import type { LoadedModel, ModelLease } from "./loaded-model.ts";
import { type ModelFolder, readModelFolder } from "./model-folder.ts";
import type { Resident } from "./unload-plan.ts";
import { SharedWork } from "./shared-work.ts";

/** After a failure to fetch or load, the model is tried again for who asks no sooner than this. */
const pauseAfterFailureMs = 10_000;

/** What goes on with a model. `progress` is 0…1, null where it cannot be told. */
export type Step = { doing: "fetching" | "loading"; words: string; progress: number | null };

export type Watch = { onStep: (step: Step) => void; signal: AbortSignal };

/** What an entry needs done. All may throw; messages are shown to callers. */
export type EntryWork = {
  /** The folder of the model's files, null where they are not here. */
  find: (known: KnownModel) => Promise<string | null>;
  /** Brings the files here. @returns their folder */
  fetch: (known: KnownModel, watch: Watch) => Promise<string>;
  /** Null: it is not known before the model has been loaded once. */
  digest: (model: ModelFolder, signal: AbortSignal) => Promise<string | null>;
  load: (id: string, model: ModelFolder, watch: Watch) => Promise<LoadedModel>;
};

type Stage =
  | { kind: "absent" }
  | { kind: "present" }
  | { kind: "working"; work: SharedWork<LoadedModel>; step: Step }
  | { kind: "loaded"; model: LoadedModel }
  | { kind: "failed"; reason: string; atMs: number };

const starting: Step = { doing: "loading", words: "Loading", progress: null };

const noticeableProgress = 0.01;

function isAlike(a: Step, b: Step): boolean {
  if (a.doing !== b.doing || a.words !== b.words) return false;
  if (a.progress === null || b.progress === null || b.progress === 1)
    return a.progress === b.progress;
  return Math.abs(a.progress - b.progress) < noticeableProgress;
}

export class ModelEntry {
  readonly known: KnownModel;
  readonly #work: EntryWork;
  readonly #surroundings: { now: () => number; onChange: () => void };
  #stage: Stage = { kind: "absent" };
  #folder: ModelFolder | null = null;
  /** Leases that are out, and acquirers on their way to one. */
  #users = 0;
  #usedAt = 0;
  #digest: string | null = null;

  /** @param surroundings `now` in milliseconds; `onChange` is called when `state()` has changed */
  constructor(
    known: KnownModel,
    work: EntryWork,
    surroundings: { now: () => number; onChange: () => void },
  ) {
    this.known = known;
    this.#work = work;
    this.#surroundings = surroundings;
  }

  /** Looks at the files that are here, if any, and notes what is wrong with them. */
  async inspect(): Promise<void> {
    try {
      const folder = await this.#work.find(this.known);
      if (folder !== null) this.#folder = await this.#read(folder);
      this.#stage = this.#rest();
    } catch (error) {
      // Tried again at once for who asks: the operator may have mended the folder meanwhile.
      this.#stage = { kind: "failed", reason: this.#translate(error).message, atMs: -Infinity };
    }
  }

  /** Finds the digest of files that are here, so that it is announced before the model is loaded. */
  async identify(signal: AbortSignal): Promise<void> {
    if (this.#folder === null || this.#digest !== null) return;
    const digest = await this.#work.digest(this.#folder, signal);
    if (digest === null) return;
    this.#digest ??= digest;
    this.#surroundings.onChange();
  }

  /** @throws CodedError `model_unavailable`, or the signal's reason */
  async acquire(signal: AbortSignal): Promise<LoadedModel> {
    signal.throwIfAborted();
    this.#usedAt = this.#surroundings.now();
    const stage = this.#stage;
    if (stage.kind === "loaded") return stage.model;
    if (stage.kind === "working" && !stage.work.givenUp) return stage.work.join(signal);
    const pausing =
      stage.kind === "failed" && this.#surroundings.now() - stage.atMs < pauseAfterFailureMs;
    if (pausing) throw new CodedError("model_unavailable", stage.reason);
    return this.#start().join(signal);
  }

  /** As `acquire`; the model is in use until the lease is released. */
  async lease(signal: AbortSignal): Promise<ModelLease> {
    this.#users += 1;
    try {
      const model = await this.acquire(signal);
      let held = true;
      const release = () => {
        if (held) this.#users -= 1;
        held = false;
      };
      return { model, release };
    } catch (error) {
      this.#users -= 1;
      throw error;
    }
  }

  /** What it keeps in memory; null while it is not loaded. */
  get resident(): Resident | null {
    const model = this.#loaded;
    if (model === null) return null;
    const inUse = this.#users > 0;
    return { id: this.known.id, bytes: model.bytes, usedAt: this.#usedAt, inUse };
  }

  get folder(): ModelFolder | null {
    return this.#folder;
  }

  get digest(): string | null {
    return this.#digest;
  }

  get #loaded(): LoadedModel | null {
    return this.#stage.kind === "loaded" ? this.#stage.model : null;
  }

  /** Unloads the model, or ends the work on it. It can be acquired again. */
  async release(): Promise<void> {
    const stage = this.#stage;
    if (stage.kind === "working") await stage.work.abort(new Error("The model is released"));
    if (stage.kind !== "loaded") return;
    this.#stage = this.#rest();
    this.#surroundings.onChange();
    await stage.model.dispose();
  }

  state(): ModelState {
    const { id, aliases, manifest } = this.known;
    const folder = this.#folder;
    return {
      id,
      aliases,
      tasks: folder?.tasks ?? manifest?.tasks ?? [],
      ...this.#condition(),
      loaded: this.#stage.kind === "loaded",
      digest: this.#digest,
      sizeBytes: folder?.sizeBytes ?? null,
      limits: this.#loaded?.limits ?? folder?.limits ?? manifest?.limits ?? null,
      licence: folder?.licence ?? manifest?.licence ?? null,
    };
  }

  #condition(): Pick<ModelState, "status" | "progress" | "reason"> {
    const stage = this.#stage;
    switch (stage.kind) {
      case "working": {
        const { doing, words, progress } = stage.step;
        const status = doing === "fetching" ? "downloading" : "available";
        return { status, progress, reason: words };
      }
      case "failed":
        return { status: "failed", progress: null, reason: stage.reason.slice(0, 2_000) };
      case "absent": {
        const reason = "Not on this worker yet: the first request fetches it";
        return { status: "available", progress: null, reason };
      }
      case "present":
      case "loaded":
        return { status: "available", progress: null, reason: null };
    }
  }

  #read(folder: string): Promise<ModelFolder> {
    return readModelFolder(folder, this.known.manifest ?? {});
  }

  #rest(): Stage {
    return { kind: this.#folder === null ? "absent" : "present" };
  }

  #start(): SharedWork<LoadedModel> {
    const work: SharedWork<LoadedModel> = new SharedWork((signal) => this.#run(work, signal));
    this.#stage = { kind: "working", work, step: starting };
    this.#surroundings.onChange();
    return work;
  }

  async #run(work: SharedWork<LoadedModel>, signal: AbortSignal): Promise<LoadedModel> {
    // Work that was given up may end after other work has begun: then the stage is no longer its own.
    const move = (stage: Stage): boolean => {
      if (this.#stage.kind !== "working" || this.#stage.work !== work) return false;
      this.#stage = stage;
      this.#surroundings.onChange();
      return true;
    };
    try {
      const onStep = (step: Step) => this.#advance(work, step);
      const model = await this.#bringUp({ onStep, signal });
      if (!signal.aborted && move({ kind: "loaded", model })) return model;
      // Ended in its last moment: who released it, or closed the catalog, must not find it loaded after all.
      await model.dispose();
      throw signal.reason;
    } catch (error) {
      if (signal.aborted) {
        move(this.#rest());
        throw error;
      }
      const coded = this.#translate(error);
      move({ kind: "failed", reason: coded.message, atMs: this.#surroundings.now() });
      throw coded;
    }
  }

  /** A download reports every piece; who listens hears of each per cent. */
  #advance(work: SharedWork<LoadedModel>, step: Step): void {
    const before = this.#stage;
    if (before.kind !== "working" || before.work !== work) return;
    if (isAlike(before.step, step)) return;
    this.#stage = { kind: "working", work, step };
    this.#surroundings.onChange();
  }

  async #bringUp(watch: Watch): Promise<LoadedModel> {
    const folder =
      (await this.#work.find(this.known)) ?? (await this.#work.fetch(this.known, watch));
    const read = await this.#read(folder);
    this.#folder = read;
    const model = await this.#work.load(this.known.id, read, watch);
    this.#digest = model.digest;
    return model;
  }

  #translate(error: unknown): CodedError {
    if (error instanceof CodedError) return error;
    const words = error instanceof Error ? error.message : String(error);
    const message = `The model ${this.known.id} cannot be served: ${words}`;
    return new CodedError("model_unavailable", message, { cause: error });
  }
}
