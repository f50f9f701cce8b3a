/** The values that a session has allocated. */
import type { Binder } from "../bound-session.ts";
import { Allocation } from "./allocation.ts";
import type { NativeSession } from "./native-run.ts";
import { byteLength, NativeValue } from "./native-value.ts";
import { openProviderMemory } from "./provider-memory.ts";
import type { ProviderMemory } from "./provider-memory.ts";

export type Allocations = {
  readonly allocate: Binder["allocate"];
  /** Frees what is left, when no run uses it any more. */
  readonly release: () => Promise<void>;
};

export function createAllocations(native: NativeSession): Allocations {
  const open = new Set<Allocation>();
  let memory: ProviderMemory | null = null;
  return {
    allocate: async (dtype, shape) => {
      const bytes = byteLength(dtype, shape);
      memory ??= openProviderMemory(native);
      const { zero } = memory;
      const allocation = new Allocation(memory, native.provider, bytes);
      open.add(allocation);
      allocation.freed.finally(() => open.delete(allocation)).catch(() => undefined);
      try {
        await allocation.using(() => zero(allocation.address, bytes));
      } catch (error) {
        await allocation.release();
        throw error;
      }
      return new NativeValue(allocation, dtype, shape);
    },
    release: async () => {
      await Promise.all(Array.from(open, (allocation) => allocation.release()));
      memory?.release();
    },
  };
}
