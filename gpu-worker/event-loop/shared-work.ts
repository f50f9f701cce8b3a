/**
 * One piece of work that several may wait for. Whoever leaves only stops waiting; when the last has left, the work itself
 * is aborted. Work that was given up is not joined again: start anew.
 */
export class SharedWork<T> {
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

  /** Ends the work whoever waits. Resolves when it has come to rest. */
  async abort(reason: Error): Promise<void> {
    this.#controller.abort(reason);
    await this.#result.catch(() => undefined);
  }

  /** @throws what the work throws, or the signal's reason */
  join(signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    this.#waiting += 1;
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        this.#waiting -= 1;
        if (this.#waiting === 0) this.#controller.abort(signal.reason);
        reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      const stay = () => signal.removeEventListener("abort", leave);
      this.#result.finally(stay).then(resolve, reject);
    });
  }
}
