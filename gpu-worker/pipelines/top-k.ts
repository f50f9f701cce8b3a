/**
 * The k best of any number of items, in bounded memory: a heap with the worst of them on top. Of equal ones the earlier
 * wins.
 */

type Kept<T> = { item: T; score: number; arrival: number };

export class TopK<T> {
  readonly #k: number;
  readonly #heap: Kept<T>[] = [];
  #arrivals = 0;

  /** @param k how many are kept, at least 1 */
  constructor(k: number) {
    this.#k = k;
  }

  /** Whether an item of this score would be kept. */
  accepts(score: number): boolean {
    return this.#heap.length < this.#k || score > (this.#heap[0]?.score ?? -Infinity);
  }

  /** Adds an item that is accepted. */
  add(item: T, score: number): void {
    const kept = { item, score, arrival: this.#arrivals };
    this.#arrivals += 1;
    if (this.#heap.length < this.#k) {
      this.#heap.push(kept);
      this.#siftUp(this.#heap.length - 1);
    } else {
      this.#heap[0] = kept;
      this.#siftDown();
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

  #siftUp(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#isWorse(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #siftDown(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const child = this.#isWorse(left + 1, left) ? left + 1 : left;
      if (!this.#isWorse(child, at)) return;
      this.#swap(at, child);
      at = child;
    }
  }
}
