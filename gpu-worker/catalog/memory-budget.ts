/** How much of the machine loaded models may take. */
import { totalmem } from "node:os";
import process from "node:process";

/** The rest is for what runs compute, and for everything else. */
const share = 0.5;

/** @param set bytes, as the operator says; null: half of what this process may use, by its container or the machine */
export function memoryBudget(set: number | null): number {
  if (set !== null) return set;
  const contained = process.constrainedMemory();
  // Without a container's bound it is 0, or larger than any machine.
  return share * (contained > 0 ? Math.min(contained, totalmem()) : totalmem());
}
