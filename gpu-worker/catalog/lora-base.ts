/**
 * What a base has for adapters of low rank: a second graph, with their stacks, which is opened for the first adapter
 * and released with the last. All adapters of a base share its batches; the base itself goes on with its own graph,
 * which costs its callers nothing.
 */
import { SharedTask } from "../event-loop/shared-task.ts";
import type { AdapterStacks, LayerSize } from "../graphs/adapter-stacks.ts";
import type { LoraMatrices } from "../graphs/lora-stack.ts";
import { PassingFailure } from "./model-failure.ts";

/** Of a base, in memory at a time. */
export const adaptersMax = 63;

/** A session with stacks of adapters. */
type Stacked = { readonly stacks: AdapterStacks; release(): Promise<void> };

export type LoraOpening<Session extends Stacked> = {
  /** Of the graph, about, before it is opened. */
  bytesNeeded(): number;
  open(signal: AbortSignal): Promise<Opened<Session>>;
};

type Opened<Session> = { session: Session; bytes: number };

export type AdapterParts = {
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  readonly shapes: Float32Array | null;
};

/** An adapter in its base's stacks. */
export type HeldAdapter<Session> = {
  readonly session: Session;
  /** Its number in the session. */
  readonly adapter: number;
  /** Runs asked for before are finished. */
  release(): Promise<void>;
};

export class LoraBase<Session extends Stacked> {
  readonly #opening: LoraOpening<Session>;
  #task: SharedTask<Opened<Session>> | null = null;
  #opened: Opened<Session> | null = null;
  /** Adapters that are there or on their way. */
  #users = 0;
  #closing: Promise<void> = Promise.resolve();

  constructor(opening: LoraOpening<Session>) {
    this.#opening = opening;
  }

  /** In memory, beside the base's own graph. */
  get bytes(): number {
    return this.#opened === null ? 0 : this.#opened.bytes + this.#opened.session.stacks.bytes;
  }

  /** There is no place for an adapter more. */
  get full(): boolean {
    return this.#users >= adaptersMax;
  }

  /** What an adapter more would need beside its own numbers, about. */
  bytesNeeded(parts: readonly { readonly name: string; readonly rank: number }[]): number {
    const opened = this.#opened;
    return opened === null ? this.#opening.bytesNeeded() : opened.session.stacks.growth(parts);
  }

  /**
   * @param read gives the adapter's part in each layer, once the session says what layers there are, and its table of
   *   word shapes, if it has one
   * @throws PassingFailure where it is full; what `read` or the opening throws; the signal's reason
   */
  async hold(
    read: (layers: ReadonlyMap<string, LayerSize>) => AdapterParts,
    signal: AbortSignal,
  ): Promise<HeldAdapter<Session>> {
    if (this.full) {
      throw new PassingFailure(
        `its base is run with ${adaptersMax} adapters already, the most at a time, all of them in use: try again later`,
      );
    }
    this.#users += 1;
    try {
      const { session } = await this.#open(signal);
      const { stacks } = session;
      const { layers, shapes } = read(stacks.layers);
      const adapter = stacks.add(layers, shapes);
      const release = async () => {
        await stacks.remove(adapter);
        await this.#leave();
      };
      return { session, adapter, release };
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<Opened<Session>> {
    if (this.#opened !== null) return this.#opened;
    if (this.#task === null || this.#task.givenUp) {
      const closed = this.#closing;
      const task: SharedTask<Opened<Session>> = new SharedTask(async (shared) => {
        try {
          await closed;
          return await this.#keep(await this.#opening.open(shared), shared);
        } catch (error) {
          // Whoever comes next tries again, also while others have yet to hear of it.
          if (this.#task === task) this.#task = null;
          throw error;
        }
      });
      this.#task = task;
    }
    return this.#task.join(signal);
  }

  /** Unless everybody has left meanwhile. */
  async #keep(opened: Opened<Session>, signal: AbortSignal): Promise<Opened<Session>> {
    if (signal.aborted) {
      await opened.session.release();
      throw signal.reason;
    }
    this.#opened = opened;
    return opened;
  }

  async #leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    const opened = this.#opened;
    this.#opened = null;
    this.#task = null;
    if (opened !== null) this.#closing = opened.session.release();
    await this.#closing;
  }
}
