/**
 * What a base has for adapters of low rank: a second graph, with their stacks, which is opened for the first adapter
 * and released with the last. All adapters of a base share its batches; the base itself goes on with its own graph,
 * which costs its callers nothing.
 */
import { SharedTask } from "../event-loop/shared-task.ts";
import type { LoraMatrices, LoraSession } from "../graphs/lora-session.ts";

export type LoraOpening = {
  /** Of the graph, about, before it is opened. */
  bytesNeeded(): number;
  open(signal: AbortSignal): Promise<{ session: LoraSession; bytes: number }>;
};

type Opened = Awaited<ReturnType<LoraOpening["open"]>>;

export type AdapterParts = {
  readonly layers: ReadonlyMap<string, LoraMatrices>;
  readonly shapes: Float32Array | null;
};

/** An adapter in its base's stacks. */
export type HeldAdapter = {
  readonly session: LoraSession;
  /** Its number in the session. */
  readonly adapter: number;
  /** Runs asked for before are finished. */
  release(): Promise<void>;
};

export class LoraBase {
  readonly #opening: LoraOpening;
  #task: SharedTask<Opened> | null = null;
  #opened: Opened | null = null;
  /** Adapters that are there or on their way. */
  #users = 0;
  #closing: Promise<void> = Promise.resolve();

  constructor(opening: LoraOpening) {
    this.#opening = opening;
  }

  /** In memory, beside the base's own graph. */
  get bytes(): number {
    return this.#opened === null ? 0 : this.#opened.bytes + this.#opened.session.bytes;
  }

  /** What an adapter more would need beside its own numbers, about. */
  bytesNeeded(parts: readonly { readonly name: string; readonly rank: number }[]): number {
    const opened = this.#opened;
    return opened === null ? this.#opening.bytesNeeded() : opened.session.growth(parts);
  }

  /**
   * @param read gives the adapter's part in each layer, once the session says what layers there are, and its table of
   *   word shapes, if it has one
   * @throws what `read` or the opening throws; the signal's reason
   */
  async hold(
    read: (session: LoraSession) => AdapterParts,
    signal: AbortSignal,
  ): Promise<HeldAdapter> {
    this.#users += 1;
    try {
      const { session } = await this.#open(signal);
      const { layers, shapes } = read(session);
      const adapter = session.add(layers, shapes);
      const release = async () => {
        await session.remove(adapter);
        await this.#leave();
      };
      return { session, adapter, release };
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<Opened> {
    if (this.#opened !== null) return this.#opened;
    if (this.#task === null || this.#task.givenUp) {
      const closed = this.#closing;
      const task: SharedTask<Opened> = new SharedTask(async (shared) => {
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
  async #keep(opened: Opened, signal: AbortSignal): Promise<Opened> {
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
