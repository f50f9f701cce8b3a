/** A share of the worker's memory: what would not fit beside what others hold waits for its turn, in the order it came. */
import { addAbortListener } from "node:events";

type Waiting = { bytes: number; enter(): void };

export class MemoryGate {
  readonly #bytesMax: number;
  readonly #waiting: Waiting[] = [];
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Waits for room. What is larger than the whole share goes alone.
   * @returns gives the room back; a second call does nothing
   * @throws the signal's reason
   */
  async enter(bytes: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const wanted = Math.min(bytes, this.#bytesMax);
    if (this.#waiting.length > 0 || !this.#fits(wanted)) await this.#queue(wanted, signal);
    else this.#held += wanted;
    let inside = true;
    return () => {
      if (inside) this.#leave(wanted);
      inside = false;
    };
  }

  #fits(bytes: number): boolean {
    return this.#held + bytes <= this.#bytesMax;
  }

  #queue(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const listening = addAbortListener(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        this.#admit();
        reject(signal.reason);
      });
      const enter = () => {
        listening[Symbol.dispose]();
        resolve();
      };
      const waiting = { bytes, enter };
      this.#waiting.push(waiting);
    });
  }

  #leave(bytes: number): void {
    this.#held -= bytes;
    this.#admit();
  }

  #admit(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || !this.#fits(first.bytes)) return;
      this.#waiting.shift();
      this.#held += first.bytes;
      first.enter();
    }
  }
}
