/**
 * One task that several may wait for. Whoever leaves only stops waiting; when the last has left, the task itself is
 * aborted. One that was given up is not joined again: start anew.
 */
import { orAborted } from "./or-aborted.ts";

export class SharedTask<T> {
  readonly #controller = new AbortController();
  readonly #result: Promise<T>;
  #waiting = 0;

  /** @param start runs after the constructor has returned */
  constructor(start: (signal: AbortSignal) => Promise<T>) {
    this.#result = Promise.resolve(this.#controller.signal).then(start);
    // Each waiter hears of a failure through its own promise; without any, nobody needs to.
    this.#result.catch(() => undefined);
  }

  get givenUp(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Ends the task whoever waits. Resolves when it has come to rest. */
  async abort(reason: Error): Promise<void> {
    this.#controller.abort(reason);
    await this.#result.catch(() => undefined);
  }

  /** @throws what the task throws, or the signal's reason */
  async join(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    this.#waiting += 1;
    try {
      return await orAborted(this.#result, signal);
    } catch (error) {
      this.#waiting -= 1;
      if (signal.aborted && this.#waiting === 0) this.#controller.abort(signal.reason);
      throw error;
    }
  }
}
