import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { expect, it, onTestFinished } from "vitest";
import { cleanUpPreviousRun } from "../../../infra/local/previous-run.ts";
import { isAlive } from "../../../infra/local/process-identity.ts";
import { readRun, writeRun } from "../../../infra/local/run-file.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A process that waits, with `name` on its command line. */
async function waitingProcess(name: string): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", name]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "spawn");
  return { child, pid: child.pid ?? 0 };
}

it.skipIf(process.platform === "win32")(
  "kills the workerd that a killed stack left, and nothing that merely has its id",
  async () => {
    const folder = temporaryFolder();
    const workerd = await waitingProcess("/somewhere/bin/workerd");
    const stranger = await waitingProcess("somebody's-editor");
    writeRun(folder, {
      url: "http://127.0.0.1:1",
      startedAt: new Date(0).toISOString(),
      ready: true,
      ports: { edge: 1, queue: 2, workerHealth: [3] },
      pids: { launcher: 1, edge: stranger.pid, queue: null, worker: null, workerd: workerd.pid },
    });
    expect(await cleanUpPreviousRun(folder)).toEqual(["workerd"]);
    expect([isAlive(workerd.pid), isAlive(stranger.pid)]).toEqual([false, true]);
    expect(readRun(folder)).toBeNull();
  },
);

it("does nothing where nothing ran", async () => {
  expect(await cleanUpPreviousRun(temporaryFolder())).toEqual([]);
});
