/** In a thread of grammar-thread.ts: it yields from now on, and says so, once. */
import { readlinkSync } from "node:fs";
import path from "node:path";
import { parentPort } from "node:worker_threads";
import { yieldThread } from "../runtime/yield-thread.ts";
import type { ThreadYields } from "./thread-protocol.ts";

let yields = false;

export function yieldNow(): void {
  if (yields || !yieldThread()) return;
  yields = true;
  const thread = Number(path.basename(readlinkSync("/proc/thread-self")));
  parentPort?.postMessage({ kind: "yields", thread } satisfies ThreadYields, []);
}
