/** CPU time that processes have used, as Linux keeps it; elsewhere nothing is measured. */
import { readFileSync } from "node:fs";
import process from "node:process";

/** Linux counts in hundredths of a second on every platform Node runs on. */
const msPerTick = 10;

/** @returns milliseconds of user and system time so far; null where the system does not tell */
export function cpuMs(pid: number): number | null {
  if (process.platform !== "linux") return null;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The program's name, in brackets, may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

export type CpuMeter = {
  /** Milliseconds of CPU each process used for each of `requests`. */
  perRequest: (requests: number) => Record<string, number | null>;
};

/** Starts counting. @param pids by name; this process is added as `client` */
export function startCpuMeter(pids: Record<string, number | null>): CpuMeter {
  const all = Object.entries({ ...pids, client: process.pid });
  const before = new Map(all.map(([name, pid]) => [name, pid === null ? null : cpuMs(pid)]));
  return {
    perRequest: (requests) =>
      Object.fromEntries(
        all.map(([name, pid]) => {
          const earlier = before.get(name) ?? null;
          const now = pid === null ? null : cpuMs(pid);
          return [name, earlier === null || now === null ? null : (now - earlier) / requests];
        }),
      ),
  };
}

export function formatCpu(perRequest: Record<string, number | null>): string {
  return Object.entries(perRequest)
    .map(([name, ms]) => `${name} ${ms === null ? "not measured" : ms.toFixed(3)}`)
    .join(", ");
}
