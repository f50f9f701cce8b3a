/**
 * Work done one piece at a time, those who ask in turn: a piece of one waits for at most one of each other, however
 * many pieces another has. Pieces of one are done in order.
 */
export class FairTurns<Asker> {
  /** Whose turn is next first. */
  readonly #waiting = new Map<Asker, (() => void)[]>();
  #busy = false;

  /** @throws what the work throws */
  async run<T>(asker: Asker, work: () => Promise<T>): Promise<T> {
    if (this.#busy) await this.#turnOf(asker);
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #turnOf(asker: Asker): Promise<void> {
    return new Promise((begin) => {
      const theirs = this.#waiting.get(asker) ?? [];
      theirs.push(begin);
      this.#waiting.set(asker, theirs);
    });
  }

  #next(): void {
    const [first] = this.#waiting;
    // It stays busy where another begins, so that nobody comes between.
    if (first === undefined) {
      this.#busy = false;
      return;
    }
    const [asker, [begin, ...rest]] = first;
    this.#waiting.delete(asker);
    if (rest.length > 0) this.#waiting.set(asker, rest);
    begin?.();
  }
}
