/** The log of a process whose reader has gone, as where a container's log collector died. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { expect, it } from "vitest";

const module = new URL("../../gpu-worker/telemetry/log.ts", import.meta.url).href;

const script = `
  import { createLog } from ${JSON.stringify(module)};
  const log = createLog({ level: "info", worker: "worker" });
  process.once("message", () => {
    log.info({}, "ending");
    log.info({}, "ended");
    process.exit(3);
  });
  process.send("ready");
`;

it("does not keep a process that ends", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  try {
    await once(child, "message");
    child.stdout?.destroy();
    child.send("end");
    expect(await once(child, "exit")).toEqual([3, null]);
  } finally {
    child.kill("SIGKILL");
  }
});
