/**
 * One model of the catalog through its life: absent, present, at work, loaded, or failed with a reason. Keeps what is
 * announced of it, and does once what several ask for.
 */
import { cutText } from "#contract/cut-text.ts";
import type { CodedError } from "#contract/errors.ts";
import type { ModelState } from "#contract/models.ts";
import { isAdapter, type ModelFolder, readModelFolder } from "../checkpoints/model-folder.ts";
import { fetchModel, type FetchProgress, type FetchSettings } from "../downloads/fetch-model.ts";
import { SharedTask } from "../event-loop/shared-task.ts";
import { folderSignature } from "../files/folder-signature.ts";
import type { ModelLease } from "../model/served-model.ts";
import { type KnownModel, presentFolder } from "./known-models.ts";
import type { ModelLoader } from "./load-model.ts";
import type { LoadStep, Watch } from "./load-step.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { modelFailure } from "./model-failure.ts";
import type { Resident } from "./unload-plan.ts";

/** After a failure to fetch or load, the model is tried again for who asks no sooner than this. */
const pauseAfterFailureMs = 10_000;

type Stage =
  /** With the reason why it is, where it was to be fetched unasked. */
  | { kind: "absent"; failure: CodedError | null }
  | { kind: "present" }
  | { kind: "working"; task: SharedTask<LoadedModel>; step: LoadStep }
  | { kind: "loaded"; model: LoadedModel }
  | { kind: "failed"; failure: CodedError; signature: string | null; atMs: number };

export type EntryDependencies = {
  fetching: FetchSettings;
  loader: ModelLoader;
  /** See `FolderOptions`. */
  contextTokens: number | null;
  /** Milliseconds. */
  now(): number;
  /** `state()` has changed. */
  onChange(): void;
  /** With the reason for the log. */
  onFailure(failure: CodedError): void;
};

const starting: LoadStep = { doing: "loading", words: "Loading", progress: null };

const noticeableProgress = 0.01;
const reasonCharactersMax = 2_000;

function isAlike(a: LoadStep, b: LoadStep): boolean {
  if (a.doing !== b.doing || a.words !== b.words) return false;
  if (a.progress === null || b.progress === null || b.progress === 1)
    return a.progress === b.progress;
  return Math.abs(a.progress - b.progress) < noticeableProgress;
}

/** How a model that failed is announced. */
export function failedState(
  failure: CodedError,
): Pick<ModelState, "status" | "progress" | "reason" | "notServable"> {
  const reason = cutText(failure.message, reasonCharactersMax);
  const stays = failure.code === "model_not_servable" ? { notServable: true } : {};
  return { status: "failed", progress: null, reason, ...stays };
}

function entityModelOf(folder: ModelFolder | null): Pick<ModelState, "entityModel"> {
  const described = folder !== null && isAdapter(folder) ? folder.adapter : folder;
  if (described === null || described.kind === "decoder") return {};
  const { entityModel } = described;
  return entityModel === null ? {} : { entityModel };
}

function fetchStep({ step, bytes, totalBytes }: FetchProgress): LoadStep {
  const known = totalBytes !== null && totalBytes > 0;
  return {
    doing: "fetching",
    words: step,
    progress: known ? Math.min(1, bytes / totalBytes) : null,
  };
}

export class ModelEntry {
  readonly known: KnownModel;
  readonly #dependencies: EntryDependencies;
  #stage: Stage = { kind: "absent", failure: null };
  #folder: ModelFolder | null = null;
  /** Leases that are out, and acquirers on their way to one. */
  #users = 0;
  #usedAt = 0;
  /** Nobody has asked for it since it was to be fetched in advance. */
  #unasked = false;
  #readSignature: string | null = null;
  #retired = false;
  #digest: string | null = null;
  #upstreamDigest: string | null = null;

  constructor(known: KnownModel, dependencies: EntryDependencies) {
    this.known = known;
    this.#dependencies = dependencies;
  }

  /** Looks at the files that are here, if any, and notes what is wrong with them. */
  async inspect(): Promise<void> {
    try {
      const folder = await this.#present();
      if (folder !== null) this.#folder = await this.#read(folder);
      this.#stage = this.#rest();
    } catch (error) {
      // Tried again at once for who asks: the operator may have mended the folder meanwhile.
      await this.#fail(modelFailure(this.known.id, error), -Infinity);
    }
  }

  /**
   * Looks again at a model that cannot be served, where its files have changed since that was found.
   * @param others there are other models since then: an adapter's base may be among them
   */
  async recheck(others: boolean): Promise<void> {
    const stage = this.#stage;
    if (stage.kind !== "failed" || stage.failure.code !== "model_not_servable") return;
    const mayBeServed = others && this.#folder !== null && isAdapter(this.#folder);
    const changed = mayBeServed || (await this.#signature()) !== stage.signature;
    if (!changed || this.#stage !== stage) return;
    this.#folder = null;
    await this.inspect();
    this.#dependencies.onChange();
  }

  /** Finds the digest of files that are here, so that it is announced before the model is loaded. */
  async identify(signal: AbortSignal): Promise<void> {
    if (this.#folder === null || this.#digest !== null) return;
    const digest = await this.#dependencies.loader.digest(this.#folder, signal);
    if (digest === null) return;
    this.#digest ??= digest;
    this.#dependencies.onChange();
  }

  /** @throws CodedError `model_not_servable` or `model_unavailable`, or the signal's reason */
  async acquire(signal: AbortSignal): Promise<LoadedModel> {
    signal.throwIfAborted();
    this.#usedAt = this.#dependencies.now();
    this.#unasked = false;
    const stage = this.#stage;
    if (stage.kind === "loaded") return stage.model;
    if (stage.kind === "working" && !stage.task.givenUp) return stage.task.join(signal);
    const pausing =
      stage.kind === "failed" && this.#dependencies.now() - stage.atMs < pauseAfterFailureMs;
    if (pausing) throw stage.failure;
    return this.#start().join(signal);
  }

  /**
   * Fetches a model whose files are not here, and loads it, for nobody who waits: where that fails, it is as it was.
   * @throws as `acquire`
   */
  async prefetch(signal: AbortSignal): Promise<void> {
    if (this.#stage.kind !== "absent") return;
    this.#unasked = true;
    await this.#start().join(signal);
  }

  /** As `acquire`; the model is in use until the lease is released. */
  async lease(signal: AbortSignal): Promise<ModelLease<LoadedModel>> {
    this.#users += 1;
    try {
      const model = await this.acquire(signal);
      let held = true;
      const release = () => {
        if (held) this.#users -= 1;
        held = false;
        this.#leaveWhenIdle();
      };
      return { model, release };
    } catch (error) {
      this.#users -= 1;
      throw error;
    }
  }

  /** Its files have gone, or others are there: it is unloaded as soon as nobody uses it. */
  retire(): void {
    this.#retired = true;
    this.#leaveWhenIdle();
  }

  /** It is not loaded and will not be. */
  get gone(): boolean {
    return this.#retired && this.#users === 0 && this.#loaded === null;
  }

  #leaveWhenIdle(): void {
    if (!this.#retired || this.#users > 0) return;
    this.release().catch((error: unknown) => {
      this.#dependencies.onFailure(modelFailure(this.known.id, error));
    });
  }

  /** Whether an adapter's files are others than those that were read. */
  async isOutdated(): Promise<boolean> {
    const folder = this.#folder;
    if (folder === null || !isAdapter(folder)) return false;
    return (await this.#signature()) !== this.#readSignature;
  }

  /** What it keeps in memory; null while it is not loaded. */
  get resident(): Resident | null {
    const model = this.#loaded;
    if (model === null) return null;
    const inUse = this.#users > 0;
    return { id: this.known.id, bytes: model.bytes, usedAt: this.#usedAt, inUse };
  }

  /** In use, or being brought up. */
  get busy(): boolean {
    return this.#users > 0 || this.#stage.kind === "working";
  }

  get folder(): ModelFolder | null {
    return this.#folder;
  }

  get digest(): string | null {
    return this.#digest;
  }

  /** sha256 of the upstream f32 weights, by which adapters name their base; null before it is known. */
  get upstreamDigest(): string | null {
    const folder = this.#folder;
    if (folder === null || isAdapter(folder)) return null;
    return folder.derivedFrom ?? this.#upstreamDigest;
  }

  get #loaded(): LoadedModel | null {
    return this.#stage.kind === "loaded" ? this.#stage.model : null;
  }

  /** Unloads the model, or ends the work on it. It can be acquired again. */
  async release(): Promise<void> {
    const stage = this.#stage;
    if (stage.kind === "working") await stage.task.abort(new Error("The model is released"));
    if (stage.kind !== "loaded") return;
    this.#stage = this.#rest();
    this.#dependencies.onChange();
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
      ...entityModelOf(folder),
    };
  }

  #condition(): Pick<ModelState, "status" | "progress" | "reason" | "notServable"> {
    const stage = this.#stage;
    switch (stage.kind) {
      case "working": {
        const { doing, words, progress } = stage.step;
        const status = doing === "fetching" ? "downloading" : "available";
        return { status, progress, reason: words };
      }
      case "failed":
        return failedState(stage.failure);
      case "absent": {
        const tried = stage.failure === null ? "" : `. ${stage.failure.message}`;
        const words = `Not on this worker yet: the first request fetches it${tried}`;
        const reason = cutText(words, reasonCharactersMax);
        return { status: "available", progress: null, reason };
      }
      case "present":
      case "loaded":
        return { status: "available", progress: null, reason: null };
    }
  }

  #present(): Promise<string | null> {
    return presentFolder(this.known, this.#dependencies.fetching.stateFolder);
  }

  /** @returns the folder with the model's files */
  async #fetch({ onStep, signal }: Watch): Promise<string> {
    const { id, place } = this.known;
    if (place.kind === "folder") throw new Error(`its folder ${id} has gone`);
    const onProgress = (progress: FetchProgress) => onStep(fetchStep(progress));
    if (place.kind === "tuned") return place.fetch({ signal, onProgress });
    return fetchModel(place.manifest, this.#dependencies.fetching, { signal, onProgress });
  }

  async #read(folder: string): Promise<ModelFolder> {
    this.#readSignature = await folderSignature(folder);
    const { prompts } = this.known.manifest ?? {};
    return readModelFolder(folder, { prompts, contextTokens: this.#dependencies.contextTokens });
  }

  #rest(): Stage {
    return this.#folder === null ? { kind: "absent", failure: null } : { kind: "present" };
  }

  #start(): SharedTask<LoadedModel> {
    const task: SharedTask<LoadedModel> = new SharedTask((signal) => this.#run(task, signal));
    this.#stage = { kind: "working", task, step: starting };
    this.#dependencies.onChange();
    return task;
  }

  async #run(task: SharedTask<LoadedModel>, signal: AbortSignal): Promise<LoadedModel> {
    // A task that was given up may end after another has begun: then the stage is no longer its own.
    const move = (stage: Stage): boolean => {
      if (this.#stage.kind !== "working" || this.#stage.task !== task) return false;
      this.#stage = stage;
      this.#dependencies.onChange();
      return true;
    };
    try {
      const onStep = (step: LoadStep) => this.#advance(task, step);
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
      const failure = modelFailure(this.known.id, error);
      if (this.#unasked && failure.code === "model_unavailable" && this.#folder === null) {
        move({ kind: "absent", failure });
        throw failure;
      }
      const signature = await this.#signature();
      move({ kind: "failed", failure, signature, atMs: this.#dependencies.now() });
      this.#dependencies.onFailure(failure);
      throw failure;
    }
  }

  async #fail(failure: CodedError, atMs: number): Promise<void> {
    this.#stage = { kind: "failed", failure, signature: await this.#signature(), atMs };
    this.#dependencies.onFailure(failure);
  }

  async #signature(): Promise<string | null> {
    const folder = await this.#present().catch(() => null);
    return folder === null ? null : folderSignature(folder);
  }

  /** A download reports every piece; who listens hears of each per cent. */
  #advance(task: SharedTask<LoadedModel>, step: LoadStep): void {
    const before = this.#stage;
    if (before.kind !== "working" || before.task !== task) return;
    if (isAlike(before.step, step)) return;
    this.#stage = { kind: "working", task, step };
    this.#dependencies.onChange();
  }

  async #bringUp(watch: Watch): Promise<LoadedModel> {
    const folder = (await this.#present()) ?? (await this.#fetch(watch));
    const read = await this.#read(folder);
    this.#folder = read;
    const model = await this.#dependencies.loader.load(this.known.id, read, watch);
    this.#digest = model.digest;
    this.#upstreamDigest = model.upstreamDigest;
    return model;
  }
}
