/**
 * How far a request is, counted in the rows that models read for it. Its rows may be run in several goes, one after another,
 * and some are found only on the way (the pairs of entities), so the total may grow; neither number ever falls.
 */
import type { SubmitOptions } from "../batching/batch-queue.ts";

type OnProgress = SubmitOptions["onProgress"];

export class RowProgress {
  readonly #tell: OnProgress;
  #begun = 0;
  #planned = 0;

  constructor(tell: OnProgress) {
    this.#tell = tell;
  }

  /** So many rows are to be begun after those that are. */
  plan(rows: number): void {
    this.#planned = Math.max(this.#planned, this.#begun + rows);
  }

  /** So many rows are begun, and those before are done. @returns what is to be told of them */
  begin(rows: number): (completed: number) => void {
    this.plan(rows);
    const before = this.#begun;
    this.#begun += rows;
    return (completed) => this.#tell?.(before + completed, this.#planned);
  }
}
