/**
 * What every figure of classes is made of: for each row (a text, or a sentence of tags) and class how often it was
 * right, said and meant. Sparse by row, so that rows can be drawn again thousands of times and classes may be many.
 */
export type RowCounts = {
  /** Classes that are reported, in their order. */
  readonly labels: readonly string[];
  readonly rows: number;
  /** [rows + 1]: the entries of row r are offsets[r] … offsets[r + 1] − 1. */
  readonly offsets: Uint32Array;
  /** [entries]: index into `labels`. */
  readonly classes: Uint32Array;
  /** [entries]: how often the class was meant and said; said; meant. */
  readonly hits: Uint32Array;
  readonly predicted: Uint32Array;
  readonly support: Uint32Array;
  /** True: one class is expected and one predicted each time, all reported: the micro average is the accuracy. */
  readonly oneClassEach: boolean;
};

/** How often each row counts: 1 each, or as often as a resample drew it. */
export type RowWeights = Uint32Array;

/** A figure of one system on weighted rows. NaN where it is not defined. */
export type RowMetric = (weights: RowWeights) => number;

export function eachOnce(rows: number): RowWeights {
  return new Uint32Array(rows).fill(1);
}

/** Takes rows one after the other; classes outside `labels` are left out. */
export class RowCounter {
  readonly #labels: readonly string[];
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #offsets: number[] = [0];
  readonly #columns: [number[], number[], number[], number[]] = [[], [], [], []];
  readonly #row = new Map<number, [hits: number, predicted: number, support: number]>();

  constructor(labels: readonly string[]) {
    this.#labels = labels;
    this.#indexOf = new Map(labels.map((label, at) => [label, at]));
  }

  expected(label: string): void {
    this.#add(label, [0, 0, 1]);
  }

  predicted(label: string): void {
    this.#add(label, [0, 1, 0]);
  }

  hit(label: string): void {
    this.#add(label, [1, 1, 1]);
  }

  endRow(): void {
    const [classes, hits, predicted, support] = this.#columns;
    for (const [index, counts] of this.#row) {
      classes.push(index);
      hits.push(counts[0]);
      predicted.push(counts[1]);
      support.push(counts[2]);
    }
    this.#row.clear();
    this.#offsets.push(classes.length);
  }

  finish(oneClassEach: boolean): RowCounts {
    const [classes, hits, predicted, support] = this.#columns;
    return {
      labels: this.#labels,
      rows: this.#offsets.length - 1,
      offsets: Uint32Array.from(this.#offsets),
      classes: Uint32Array.from(classes),
      hits: Uint32Array.from(hits),
      predicted: Uint32Array.from(predicted),
      support: Uint32Array.from(support),
      oneClassEach,
    };
  }

  #add(label: string, [hit, said, meant]: readonly [number, number, number]): void {
    const index = this.#indexOf.get(label);
    if (index === undefined) return;
    const counts = this.#row.get(index) ?? [0, 0, 0];
    this.#row.set(index, [counts[0] + hit, counts[1] + said, counts[2] + meant]);
  }
}

/** Sorted by code points, as Python and numpy sort; each once. */
export function sortedLabels(labels: Iterable<string>): string[] {
  const keyed = [...new Set(labels)].map((label) => ({ label, key: Buffer.from(label) }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ label }) => label);
}
