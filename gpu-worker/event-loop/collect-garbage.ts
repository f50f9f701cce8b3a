/**
 * Collects all garbage at once, and with it the memory that libraries free when their objects are collected. V8 does it
 * under pressure alone: a process that goes quiet after a busy time keeps what it held last, hundreds of megabytes at
 * times. It takes tens of milliseconds, and holds up the event loop.
 */
import { Session } from "node:inspector/promises";

export async function collectGarbage(): Promise<void> {
  const session = new Session();
  session.connect();
  try {
    await session.post("HeapProfiler.collectGarbage");
  } finally {
    session.disconnect();
  }
}
