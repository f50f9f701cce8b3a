/** `npm start` as a service manager or a script runs it: no terminal, and signals for the npm process alone. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { expect, it, onTestFinished } from "vitest";
import { waitForEnd } from "../../infra/local/process-identity.ts";
import { readRun } from "../../infra/local/run-file.ts";

const root = path.resolve(import.meta.dirname, "../..");

async function untilReady(npm: ChildProcess): Promise<void> {
  const ended = new Promise<never>((_, reject) => {
    npm.once("exit", (code) => reject(new Error(`npm ended (${code}) before the stack was ready`)));
  });
  const ready = new Promise<void>((resolve) => {
    if (npm.stdout === null) return;
    createInterface({ input: npm.stdout }).on("line", (line) => {
      if (line.startsWith("ready ")) resolve();
    });
  });
  await Promise.race([ready, ended]);
}

it.skipIf(process.platform === "win32").each(["SIGTERM", "SIGHUP", "SIGKILL"] as const)(
  "ends with its npm on %s",
  async (signal) => {
    const state = mkdtempSync(path.join(tmpdir(), "llm-os-npm-"));
    const npm = spawn("npm", ["start", "--", "--state", state, "--port", "0"], {
      cwd: root,
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    onTestFinished(() => {
      const launcher = readRun(state)?.pids["launcher"];
      if (typeof launcher === "number") process.kill(launcher, "SIGINT");
      else rmSync(state, { recursive: true, force: true });
    });
    await untilReady(npm);
    const pids = Object.values(readRun(state)?.pids ?? {}).filter((pid) => pid !== null);
    expect(pids).toHaveLength(6);
    npm.kill(signal);
    const ends = await Promise.all(pids.map((pid) => waitForEnd(pid, 10_000)));
    expect(ends).toEqual(pids.map(() => true));
    expect(readRun(state)).toBeNull();
  },
);
