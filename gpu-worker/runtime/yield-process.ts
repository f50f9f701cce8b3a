/**
 * Has a process compute only while no other wants its core. A low priority is not enough beside a run: ONNX Runtime's
 * threads sleep and wake some hundred times in a step of a decoder, and Linux lets who runs finish its slice first,
 * whatever its priority. Measured on Linux 6.18: a thread that computes 0.3 ms and sleeps 0.06 wakes 0.81 ms late on
 * average beside others that are 19 steps lower, 0.91 beside equals. One of SCHED_IDLE gives way at once.
 *
 * All threads of it: V8 compiles WebAssembly and collects garbage in threads of its own, which take as long as the one
 * that they work for.
 */
import { readdirSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import process from "node:process";
import koffi from "koffi";
import { configureStacks } from "./c-api/koffi-stacks.ts";

/** Of Linux's sched.h. */
const schedIdle = 5;
/** Steps below this process: a third of its weight (sched(7): a step is a factor of 1.25). */
const lowerSteps = 5;
const lowest = 19;

/** For good: without privileges there is no way back. @returns whether it yields: threads that it starts do so, too */
export function yieldProcess(pid: number): boolean {
  if (process.platform !== "linux") return false;
  configureStacks();
  const set = koffi.load(null).func("sched_setscheduler", "int", ["int", "int", "int *"]);
  // One of them may have ended meanwhile.
  const yields = threadsOf(pid).filter((thread) => set(thread, schedIdle, [0]) === 0);
  return yields.length > 0;
}

/** Has it take less of a core than this process where both want it. */
export function lowerProcess(pid: number): void {
  const priority = Math.min(lowest, getPriority() + lowerSteps);
  for (const thread of threadsOf(pid)) {
    try {
      setPriority(thread, priority);
    } catch {
      // It has ended.
    }
  }
}

function threadsOf(pid: number): number[] {
  if (process.platform !== "linux") return [pid];
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    // It has ended.
    return [];
  }
}
