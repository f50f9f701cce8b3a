/**
 * Bounds the bytes that are worked on at once in this isolate: who comes first goes first, and who finds no room waits.
 * What weighs more than the bound goes in alone. A place is given back by who took it, or when its caller hangs up; one
 * that is held past its time is taken back, because a request that the runtime ends does not say so.
 */
type Rules = {
  bytesMax: number;
  /** A place is taken back after this long. */
  holdMsMax: number;
  /** Milliseconds since the epoch. */
  now: () => number;
};

type Place = { bytes: number; since: number; admit: () => void };

const lookAgainMs = 1_000;

export class ByteGate {
  readonly #rules: Rules;
  readonly #inside = new Set<Place>();
  /** In the order they came. */
  readonly #waiting = new Set<Place>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** @returns what gives the place back; called again, it does nothing @throws the signal's reason */
  async enter(bytes: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const admitted = Promise.withResolvers<void>();
    const place = {
      bytes: Math.min(bytes, this.#rules.bytesMax),
      since: 0,
      admit: admitted.resolve,
    };
    const leave = () => {
      this.#waiting.delete(place);
      this.#inside.delete(place);
      this.#admit();
    };
    signal.addEventListener("abort", () => {
      admitted.reject(signal.reason);
      leave();
    });
    this.#waiting.add(place);
    this.#admit();
    if (this.#waiting.has(place)) await this.#held(admitted.promise);
    return leave;
  }

  /** A request that waits for nothing of its own is taken for hung by the runtime: this clock is its own. */
  async #held(admitted: Promise<void>): Promise<void> {
    const clock = setInterval(() => this.#admit(), lookAgainMs);
    try {
      await admitted;
    } finally {
      clearInterval(clock);
    }
  }

  #admit(): void {
    const { bytesMax, holdMsMax, now } = this.#rules;
    let bytes = 0;
    for (const place of this.#inside) {
      if (now() - place.since > holdMsMax) this.#inside.delete(place);
      else bytes += place.bytes;
    }
    for (const place of this.#waiting) {
      bytes += place.bytes;
      if (bytes > bytesMax) return;
      this.#waiting.delete(place);
      place.since = now();
      this.#inside.add(place);
      place.admit();
    }
  }
}
