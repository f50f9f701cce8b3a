/**
 * Has a thread compute only while no other wants its core. A low priority is not enough beside a run: ONNX Runtime's
 * threads sleep and wake some hundred times in a step of a decoder, and Linux lets who runs finish its slice first,
 * whatever its priority. Measured on Linux 6.18: a thread that computes 0.3 ms and sleeps 0.06 wakes 0.81 ms late on
 * average beside others that are 19 steps lower, 0.91 beside equals. One of SCHED_IDLE gives way at once.
 */
import process from "node:process";
import koffi from "koffi";
import { configureStacks } from "./c-api/koffi-stacks.ts";

/** Of Linux's sched.h. */
const schedIdle = 5;

/** For good: without privileges there is no way back. @returns whether the thread that calls now yields */
export function yieldThread(): boolean {
  if (process.platform !== "linux") return false;
  configureStacks();
  const set = koffi.load(null).func("sched_setscheduler", "int", ["int", "int", "int *"]);
  return set(0, schedIdle, [0]) === 0;
}
