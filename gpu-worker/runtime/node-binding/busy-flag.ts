/**
 * Whether a session's thread is inside native code, told through shared memory. The Node binding aborts the whole
 * process when its thread is ended in there, so a process that exits waits until every thread is out.
 */
import process from "node:process";

/** One number: 1 inside native code, else 0. */
export type BusyFlag = Int32Array<SharedArrayBuffer>;

const threads = new Set<BusyFlag>();
let listening = false;

/** For a thread that is about to be started, and thus busy. */
export function raiseFlag(): BusyFlag {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  flag[0] = 1;
  threads.add(flag);
  if (!listening) process.on("exit", waitForThreads);
  listening = true;
  return flag;
}

/** For a thread that has ended, of itself or by a crash. */
export function forgetFlag(flag: BusyFlag): void {
  threads.delete(flag);
}

/** On the thread itself. */
export async function whileBusy<T>(flag: BusyFlag, work: () => Promise<T>): Promise<T> {
  Atomics.store(flag, 0, 1);
  try {
    return await work();
  } finally {
    Atomics.store(flag, 0, 0);
    Atomics.notify(flag, 0);
  }
}

function waitForThreads(): void {
  for (const flag of threads) Atomics.wait(flag, 0, 1);
}
