/** Memory of processes that is in RAM, as Linux tells it; elsewhere nothing is measured. */
import { readFileSync } from "node:fs";
import process from "node:process";

export type Resident = {
  /** Bytes now. */
  now: number;
  /** Bytes at most since the process began. */
  peak: number;
};

/** @returns null where the system does not tell */
export function residentMemory(pid: number): Resident | null {
  if (process.platform !== "linux") return null;
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (field: string) =>
    1_024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN);
  return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
}
