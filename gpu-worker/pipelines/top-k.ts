/** The best of a great many, in bounded memory: a heap whose top is the worst that is kept. Of equal ones the earlier wins. */

type Kept<T> = { item: T; score: number; arrival: number };

export class BestFew<T> {
  readonly #most: number;
  readonly #heap: Kept<T>[] = [];
  #arrivals = 0;

  /** @param most how many are kept, at least 1 */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether one of this score would be kept. */
  wants(score: number): boolean {
    return this.#heap.length < this.#most || score > (this.#heap[0]?.score ?? -Infinity);
  }

  /** One that is wanted. */
  add(item: T, score: number): void {
    const kept = { item, score, arrival: this.#arrivals };
    this.#arrivals += 1;
    if (this.#heap.length < this.#most) {
      this.#heap.push(kept);
      this.#rise(this.#heap.length - 1);
    } else {
      this.#heap[0] = kept;
      this.#sink();
    }
  }

  /** All that were kept, the best first. */
  inOrder(): { item: T; score: number }[] {
    return this.#heap.toSorted((a, b) => b.score - a.score || a.arrival - b.arrival);
  }

  #isWorse(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return first !== undefined;
    if (first.score !== second.score) return first.score < second.score;
    return first.arrival > second.arrival;
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return;
    this.#heap[a] = second;
    this.#heap[b] = first;
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#isWorse(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const child = this.#isWorse(left + 1, left) ? left + 1 : left;
      if (!this.#isWorse(child, at)) return;
      this.#swap(at, child);
      at = child;
    }
  }
}
