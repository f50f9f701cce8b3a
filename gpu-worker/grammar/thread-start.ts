/** How a thread of grammar-thread.ts begins: where it yields at once, before it loads anything. */
import { workerData } from "node:worker_threads";
import type { ThreadLimits } from "./thread-protocol.ts";
import { yieldNow } from "./yield-now.ts";

const { yields }: ThreadLimits = workerData;
if (yields === "at once") yieldNow();
await import("./thread.ts");
