/** What of a process tells it from all others of this machine: by Linux's /proc, or by the ps of macOS. */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";

export type ProcessTable = {
  /** Boot, and namespace where there are several, in which the number of a process means something; null: not known. */
  readonly machine: string | null;
  /** Null: there is no such process, or it has ended and is only not yet taken leave of. */
  startOf(pid: number): string | null;
};

export function readProcessTable(): ProcessTable {
  return process.platform === "darwin" ? psTable(bootSession()) : procTable();
}

/** proc_pid_stat(5): the state is the third field, the start, in ticks since the boot, the 22nd. */
export function procTable(proc = "/proc"): ProcessTable {
  return { machine: namespaceOf(proc), startOf: (pid) => ticksOf(proc, pid) };
}

function namespaceOf(proc: string): string | null {
  try {
    const boot = readFileSync(`${proc}/sys/kernel/random/boot_id`, "utf8").trim();
    return `${boot} ${readlinkSync(`${proc}/self/ns/pid`)}`;
  } catch {
    return null;
  }
}

const ended = ["Z", "X"];

function ticksOf(proc: string, pid: number): string | null {
  try {
    const text = readFileSync(`${proc}/${pid}/stat`, "utf8");
    // The second field, the name, may hold spaces and brackets.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", start = ""] = [fields[0], fields[19]];
    return ended.includes(state) ? null : start;
  } catch {
    return null;
  }
}

/** A start is a date to the second: the next process of a number comes after all others had theirs. */
export function psTable(machine: string | null): ProcessTable {
  return {
    machine,
    startOf: (pid) => {
      const line = said("/bin/ps", ["-o", "state=", "-o", "lstart=", "-p", String(pid)]);
      const [, state = "", start = null] = /^(\w)\S*\s+(.+)$/.exec(line ?? "") ?? [];
      return ended.includes(state) ? null : start;
    },
  };
}

function bootSession(): string | null {
  return said("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"]);
}

/** Dates of one language and place. @returns null: it failed, or said nothing */
function said(command: string, words: readonly string[]): string | null {
  try {
    const env = { LC_ALL: "C", TZ: "UTC" };
    const given = execFileSync(command, words, {
      env,
      timeout: 2_000,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return given.trim() || null;
  } catch {
    return null;
  }
}
