/**
 * A weighted semaphore of bytes that are worked on at once in this isolate: first come, first served. What weighs more
 * than the bound is worked on alone. A permit is released by its holder, or when the caller hangs up; one that is held
 * past its time is taken back, because a request that the runtime ends does not say so.
 */
type Rules = {
  bytesMax: number;
  /** A permit is taken back after this long. */
  holdMsMax: number;
  /** Milliseconds since the epoch. */
  now: () => number;
};

type Permit = { bytes: number; since: number; grant: () => void };

const lookAgainMs = 1_000;

export class ByteSemaphore {
  readonly #rules: Rules;
  readonly #held = new Set<Permit>();
  /** In the order they came. */
  readonly #waiting = new Set<Permit>();

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  /** @returns what releases the permit; called again, it does nothing @throws the signal's reason */
  async acquire(bytes: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const granted = Promise.withResolvers<void>();
    const permit = {
      bytes: Math.min(bytes, this.#rules.bytesMax),
      since: 0,
      grant: granted.resolve,
    };
    const release = () => {
      this.#waiting.delete(permit);
      this.#held.delete(permit);
      this.#grant();
    };
    signal.addEventListener("abort", () => {
      granted.reject(signal.reason);
      release();
    });
    this.#waiting.add(permit);
    this.#grant();
    if (this.#waiting.has(permit)) await this.#waitFor(granted.promise);
    return release;
  }

  /** The runtime takes a request that waits for nothing of its own for hung: each has its own timer. */
  async #waitFor(granted: Promise<void>): Promise<void> {
    const timer = setInterval(() => this.#grant(), lookAgainMs);
    try {
      await granted;
    } finally {
      clearInterval(timer);
    }
  }

  #grant(): void {
    const { bytesMax, holdMsMax, now } = this.#rules;
    let bytes = 0;
    for (const permit of this.#held) {
      if (now() - permit.since > holdMsMax) this.#held.delete(permit);
      else bytes += permit.bytes;
    }
    for (const permit of this.#waiting) {
      bytes += permit.bytes;
      if (bytes > bytesMax) return;
      this.#waiting.delete(permit);
      permit.since = now();
      this.#held.add(permit);
      permit.grant();
    }
  }
}
