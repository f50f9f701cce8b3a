/** An engine's slots: what is in them, and their memory, which is taken with the first step and given back at rest. */
import type { EngineModel, EngineRoom } from "./engine-limits.ts";
import { KeyValueSlots, takesAdapters } from "./key-value-slots.ts";
import { scoredTokensMax } from "./decoder-runs.ts";
import { SlotTable, type SlotWork } from "./slot-table.ts";

type Sessions = Pick<EngineModel, "session" | "logitBlocks" | "steps">;

export class EngineSlots {
  readonly #model: Sessions;
  readonly #room: EngineRoom;
  #table: SlotTable;
  #memory: Promise<KeyValueSlots> | null = null;

  constructor(model: Sessions, room: EngineRoom) {
    this.#model = model;
    this.#room = room;
    this.#table = new SlotTable(room.slots);
  }

  /** See `KeyValueSlots`. */
  get takesAdapters(): boolean {
    return takesAdapters(this.#model.session);
  }

  get rowsMin(): number {
    return this.#room.rowsMin;
  }

  get table(): SlotTable {
    return this.#table;
  }

  /** Does what was planned. @returns the memory, to be run on */
  async prepare(work: readonly SlotWork[]): Promise<KeyValueSlots> {
    const { slots, textTokensMax: tokens, rowsMin } = this.#room;
    this.#memory ??= KeyValueSlots.open(this.#model, {
      slots: slots + rowsMin - 1,
      tokens,
      askedMax: slots + scoredTokensMax,
    });
    const memory = await this.#memory.catch((error: unknown) => {
      this.#memory = null;
      throw error;
    });
    for (const each of work) {
      if (each.do === "copy") await memory.copy(each.from, each.to, each.tokens);
      else await memory.discard(each.slot);
    }
    return memory;
  }

  /** Waits for the runs. */
  async release(): Promise<void> {
    const memory = this.#memory;
    this.#memory = null;
    this.#table = new SlotTable(this.#room.slots);
    const opened = await memory?.catch(() => null);
    await opened?.release();
  }
}
