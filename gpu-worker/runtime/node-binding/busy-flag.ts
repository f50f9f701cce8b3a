/**
 * What a session's thread was asked for and has not done yet, told through shared memory. The Node binding aborts the
 * whole process when its thread is ended inside native code, so a process that exits waits until every thread is out,
 * and until what is on its way to one is done.
 */
import process from "node:process";

/** One number: how much is asked for, what is under way included. */
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

/** Before the thread is asked for something more. */
export function keepBusy(flag: BusyFlag): void {
  Atomics.add(flag, 0, 1);
}

/** For a thread that has ended, of itself or by a crash. */
export function forgetFlag(flag: BusyFlag): void {
  threads.delete(flag);
}

/** On the thread itself: what it was asked for. */
export async function whileBusy<T>(flag: BusyFlag, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    Atomics.sub(flag, 0, 1);
    Atomics.notify(flag, 0);
  }
}

function waitForThreads(): void {
  for (const flag of threads) {
    for (let left = Atomics.load(flag, 0); left > 0; left = Atomics.load(flag, 0)) {
      Atomics.wait(flag, 0, left);
    }
  }
}
