/**
 * The progress of a computation, counted in the rows that models run for it. Its rows may be run in several calls, one
 * after another, and some are found only on the way (the pairs of entities), so the total may grow; neither number ever
 * falls.
 */
import type { SubmitOptions } from "../batching/batch-queue.ts";

type OnProgress = SubmitOptions["onProgress"];

export class RowProgress {
  readonly #onProgress: OnProgress;
  #begun = 0;
  #planned = 0;

  constructor(onProgress: OnProgress) {
    this.#onProgress = onProgress;
  }

  /** So many rows will be begun besides those that have been. */
  plan(rows: number): void {
    this.#planned = Math.max(this.#planned, this.#begun + rows);
  }

  /** So many rows are begun, and those before are done. @returns is called with how many of them are completed */
  begin(rows: number): (completed: number) => void {
    this.plan(rows);
    const before = this.#begun;
    this.#begun += rows;
    return (completed) => this.#onProgress?.(before + completed, this.#planned);
  }
}
