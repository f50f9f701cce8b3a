/** Pieces of one turn of the event loop, told together: the tokens of a step come in one. */
import type { Piece } from "#contract/events.ts";

export class PieceGatherer {
  readonly #report: ((pieces: readonly Piece[]) => void) | undefined;
  #pieces: Piece[] = [];

  /** @param report absent: nobody wants them */
  constructor(report: ((pieces: readonly Piece[]) => void) | undefined) {
    this.#report = report;
  }

  add(piece: Piece): void {
    if (this.#report === undefined) return;
    if (this.#pieces.length === 0) queueMicrotask(() => this.flush());
    this.#pieces.push(piece);
  }

  flush(): void {
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#report?.(pieces);
  }
}
