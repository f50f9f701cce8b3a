/**
 * The memory that loaded models share: what several loads need at once is counted together, and idle models make room.
 */
import type { LoadedModel } from "./loaded-model.ts";
import { planUnloads, type Resident } from "./unload-plan.ts";

export type ModelMemoryOptions = {
  /** Bytes of all loaded models together. */
  budget: number;
  /** The loaded ones. */
  residents(): Resident[];
  unload(id: string): Promise<void>;
};

export class ModelMemory {
  readonly #options: ModelMemoryOptions;
  /** Bytes of the models that are being loaded. */
  #claimed = 0;

  constructor(options: ModelMemoryOptions) {
    this.#options = options;
  }

  /**
   * Loads a model of about so many bytes once the least recently used of those nobody uses have made room. What a model
   * really takes is made room for once it is known.
   */
  async withRoom(bytes: number, load: () => Promise<LoadedModel>): Promise<LoadedModel> {
    let claimed = bytes;
    this.#claimed += claimed;
    try {
      await this.#makeRoom();
      const model = await load();
      this.#claimed += model.bytes - claimed;
      claimed = model.bytes;
      await this.#makeRoom();
      return model;
    } finally {
      this.#claimed -= claimed;
    }
  }

  /** One by one: with an adapter gone, its base may be the next, and somebody may have come for a model meanwhile. */
  async #makeRoom(): Promise<void> {
    const { budget, residents, unload } = this.#options;
    for (;;) {
      const [id] = planUnloads(residents(), this.#claimed, budget);
      if (id === undefined) return;
      await unload(id);
    }
  }
}
