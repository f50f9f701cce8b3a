/** One piece of a provider's memory: freed when it is released and nothing uses it any more. */
import { RuntimeError } from "../session.ts";
import type { Provider } from "../session.ts";
import type { Pointer } from "./native-function.ts";
import type { ProviderMemory } from "./provider-memory.ts";

export class Allocation {
  readonly address: Pointer;
  readonly memory: ProviderMemory;
  readonly provider: Provider;
  readonly #freed = Promise.withResolvers<void>();
  #released = false;
  #users = 0;

  constructor(memory: ProviderMemory, provider: Provider, bytes: number) {
    this.memory = memory;
    this.provider = provider;
    // C asks for an address even of nothing.
    this.address = memory.allocate(Math.max(bytes, 1));
  }

  /** Settled when the memory is free. */
  get freed(): Promise<void> {
    return this.#freed.promise;
  }

  get released(): boolean {
    return this.#released;
  }

  /** Keeps the memory until it is left as often as entered. @throws RuntimeError where it is released */
  enter(): void {
    if (this.#released) throw new RuntimeError("the value is released");
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    this.#freeUnused();
  }

  /** @throws RuntimeError where it is released */
  async using<T>(work: () => Promise<T>): Promise<T> {
    this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  release(): Promise<void> {
    if (!this.#released) {
      this.#released = true;
      this.#freeUnused();
    }
    return this.#freed.promise;
  }

  #freeUnused(): void {
    if (!this.#released || this.#users > 0) return;
    this.#freed.resolve(this.memory.free(this.address));
  }
}
