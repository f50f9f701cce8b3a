/** The lowest priority for one thread, so that others of its process, and of the machine, come first. */
import { readlinkSync } from "node:fs";
import { constants, setPriority } from "node:os";
import path from "node:path";
import process from "node:process";

/** Of the thread that calls, for good. Linux alone has priorities of threads: elsewhere nothing happens. */
export function lowerThread(): void {
  if (process.platform !== "linux") return;
  const thread = Number(path.basename(readlinkSync("/proc/thread-self")));
  setPriority(thread, constants.priority.PRIORITY_LOW);
}
