/** Lines of the log for what may come in floods: so many of each kind in a minute, and then a count. */
const linesPerMinute = 20;
const minuteMs = 60_000;

type Kind = { untilMs: number; left: number; untold: number };

export class LineAllowance {
  readonly #kinds = new Map<string, Kind>();

  /**
   * @param kind of a closed set
   * @param nowMs since the epoch
   * @returns how many of the kind have gone untold since the last line; null: this one goes untold too
   */
  take(kind: string, nowMs: number): number | null {
    const known = this.#kinds.get(kind);
    const current =
      known !== undefined && nowMs < known.untilMs
        ? known
        : { untilMs: nowMs + minuteMs, left: linesPerMinute, untold: known?.untold ?? 0 };
    this.#kinds.set(kind, current);
    if (current.left === 0) {
      current.untold += 1;
      return null;
    }
    const { untold } = current;
    current.left -= 1;
    current.untold = 0;
    return untold;
  }
}
