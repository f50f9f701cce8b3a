/** What in-thread.test.ts has called: says where it was. */
import { threadId } from "node:worker_threads";

/** 0: the thread that the process began with. */
export function threadNumber(): number {
  return threadId;
}
