/**
 * What a stack that was killed left behind: children that are still on their way out, and workerd, which outlives its
 * parent. Called with the state folder's lock held, so whatever `run.json` names belongs to nobody any more.
 */
import process from "node:process";
import { commandOf, isAlive, waitForEnd } from "./process-identity.ts";
import { readRun, removeRun } from "./run-file.ts";

/** Children end by themselves when the launcher's channel closes; this long they are given to do so. */
const graceMs = 3_000;

/** What the command of a recorded process must contain to be taken for it; Windows tells the program's name alone. */
const commands: Record<string, RegExp> = {
  workerd: /workerd/,
  edge: /local.edge\.ts|node\.exe/,
  queue: /local.queue\.ts|node\.exe/,
  worker: /gpu-worker.main\.ts|node\.exe/,
  training: /gpu-worker.train\.ts|node\.exe/,
};

/** @returns names of the processes that had to be killed */
export async function cleanUpPreviousRun(state: string): Promise<string[]> {
  const run = readRun(state);
  if (run === null) return [];
  const { launcher: _, workerd, ...children } = run.pids;
  const stubborn = await Promise.all(
    Object.entries(children).map(async ([name, pid]) => {
      if (pid === null || pid === undefined || !isOurs(name, pid)) return false;
      return !(await waitForEnd(pid, graceMs)) && killIfOurs(name, pid);
    }),
  );
  const killed = Object.keys(children).filter((_name, i) => stubborn[i]);
  // Last, since an edge that ends in good order takes its workerd along.
  if (typeof workerd === "number" && killIfOurs("workerd", workerd)) killed.push("workerd");
  if (typeof workerd === "number") await waitForEnd(workerd, graceMs);
  removeRun(state);
  return killed;
}

/** Kills `pid` if it is still the process it was recorded as. */
export function killIfOurs(name: string, pid: number): boolean {
  if (!isOurs(name, pid)) return false;
  try {
    process.kill(pid, "SIGKILL");
    return true;
  } catch {
    return false;
  }
}

function isOurs(name: string, pid: number): boolean {
  const pattern = commands[name.replace(/-\d+$/, "")];
  const command = commandOf(pid);
  return isAlive(pid) && command !== null && pattern?.test(command) === true;
}
