/** What this machine says of its CPU. */
import { readFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";
import type { Machine } from "./machine-key.ts";

export function readMachine(): Machine {
  const cpus = os.cpus();
  return {
    arch: process.arch,
    cpuModel: cpus[0]?.model.trim() ?? "",
    cores: cpus.length,
    cpuFlags: process.platform === "linux" ? linuxCpuFlags() : [],
  };
}

/** `flags` on x86, `Features` on ARM. */
function linuxCpuFlags(): string[] {
  try {
    const text = readFileSync("/proc/cpuinfo", "utf8");
    return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  } catch {
    // A sandbox may hide /proc; the model's name has to do.
    return [];
  }
}
