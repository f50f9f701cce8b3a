/** How much of the machine loaded models may take. */
import { totalmem } from "node:os";
import process from "node:process";

/** The rest is for what runs compute, and for everything else. */
const share = 0.5;

/** Of the whole, what runs may take side by side. */
const runsShare = 0.25;

/** Bytes of a container, or the machine. */
function available(): number {
  const contained = process.constrainedMemory();
  // Without a container's bound it is 0, or larger than any machine.
  return contained > 0 ? Math.min(contained, totalmem()) : totalmem();
}

/** Bytes that all runs may take together: a quarter of what this process may use. */
export function runsBudget(): number {
  return runsShare * available();
}

/** @param set bytes, as the operator says; null: half of what this process may use, by its container or the machine */
export function memoryBudget(set: number | null): number {
  if (set !== null) return set;
  return share * available();
}
