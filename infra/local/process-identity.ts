/**
 * Who a process id belongs to. Ids are used again by the system, so before a recorded one is signalled its command is
 * compared. Where a system does not tell, the answer is null and the caller decides.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

export function isAlive(pid: number): boolean {
  if (hasEnded(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and is another user's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** A zombie has ended, though its id is kept until its parent asks for it. */
function hasEnded(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    return statusOf(pid)[0] === "Z";
  } catch {
    return true;
  }
}

/** @returns the command line or program name; null where the process is gone or the system does not say */
export function commandOf(pid: number): string | null {
  try {
    if (process.platform === "linux") {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    }
    if (process.platform === "win32") {
      return run("tasklist", ["/FI", `PID eq ${pid}`, "/FO", "CSV", "/NH"]);
    }
    return run("ps", ["-p", String(pid), "-o", "command="]);
  } catch {
    return null;
  }
}

/** @returns null where the process is gone or the system does not say */
export function parentOf(pid: number): number | null {
  try {
    if (process.platform === "win32") return null;
    const told =
      process.platform === "linux"
        ? statusOf(pid)[1]
        : run("ps", ["-p", String(pid), "-o", "ppid="]);
    const parent = Number(told);
    return Number.isInteger(parent) && parent > 0 ? parent : null;
  } catch {
    return null;
  }
}

/** From the third on, the fields of /proc/PID/stat: state, parent, … A name before them may hold spaces. */
function statusOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function run(program: string, args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

/** @returns whether it ended within `timeoutMs` */
export async function waitForEnd(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await delay(20);
  }
  return true;
}
