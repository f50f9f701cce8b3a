/**
 * A counting semaphore over bytes of the worker's memory: what does not fit beside what others hold waits, first in
 * first out. Libraries' semaphores count tasks, or cannot be left on an abort.
 */
import { addAbortListener } from "node:events";

type Waiting = { bytes: number; admit(): void };

export class MemorySemaphore {
  readonly #bytesMax: number;
  readonly #waiting: Waiting[] = [];
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Waits for so many bytes. What is larger than all of them is held alone.
   * @returns releases them; a second call does nothing
   * @throws the signal's reason
   */
  async acquire(bytes: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const wanted = Math.min(bytes, this.#bytesMax);
    if (this.#waiting.length > 0 || !this.#fits(wanted)) await this.#wait(wanted, signal);
    else this.#held += wanted;
    let held = true;
    return () => {
      if (held) this.#release(wanted);
      held = false;
    };
  }

  #fits(bytes: number): boolean {
    return this.#held + bytes <= this.#bytesMax;
  }

  #wait(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const listening = addAbortListener(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        this.#admitAll();
        reject(signal.reason);
      });
      const admit = () => {
        listening[Symbol.dispose]();
        resolve();
      };
      const waiting = { bytes, admit };
      this.#waiting.push(waiting);
    });
  }

  #release(bytes: number): void {
    this.#held -= bytes;
    this.#admitAll();
  }

  #admitAll(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || !this.#fits(first.bytes)) return;
      this.#waiting.shift();
      this.#held += first.bytes;
      first.admit();
    }
  }
}
