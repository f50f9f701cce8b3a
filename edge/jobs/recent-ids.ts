/** Ids remembered for a while, in memory: bounded in time and number, the oldest forgotten first. */
export class RecentIds {
  readonly #lifetimeMs: number;
  readonly #countMax: number;
  /** Id → when it is forgotten, ms since the epoch; insertion order is age, as the lifetime is one. */
  readonly #forgetAt = new Map<string, number>();

  constructor(lifetimeMs: number, countMax: number) {
    this.#lifetimeMs = lifetimeMs;
    this.#countMax = countMax;
  }

  add(id: string, now: number): void {
    this.#forgetAt.delete(id);
    this.#forgetAt.set(id, now + this.#lifetimeMs);
    this.#forget(now);
  }

  has(id: string, now: number): boolean {
    const forgetAt = this.#forgetAt.get(id);
    return forgetAt !== undefined && forgetAt > now;
  }

  #forget(now: number): void {
    for (const [id, forgetAt] of this.#forgetAt) {
      if (forgetAt > now && this.#forgetAt.size <= this.#countMax) return;
      this.#forgetAt.delete(id);
    }
  }
}
