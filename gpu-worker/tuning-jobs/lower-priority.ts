/** The lowest priority of the system for a process that trains, so that whoever serves beside it comes first. */
import { readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";

const { PRIORITY_LOW } = constants.priority;

/** On Linux a priority is a thread's own, and new threads have that of the one which makes them. */
export function lowerPriority(): void {
  for (const thread of threads()) {
    try {
      setPriority(thread, PRIORITY_LOW);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function threads(): number[] {
  try {
    return readdirSync("/proc/self/task").map(Number);
  } catch {
    return [0];
  }
}
