/**
 * The worker as a process on a machine whose device cannot be used, and on one whose device breaks: a GPU that is
 * played by the CPU (device-on-the-cpu.ts).
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment, jobsQueueUrl, kill, outputOf } from "./child-process.ts";
import { Rig, noopMessage } from "./rig.ts";

const script = path.resolve(import.meta.dirname, "../../gpu-worker/main.ts");
const preload = pathToFileURL(path.join(import.meta.dirname, "on-a-device.mjs")).href;

let rig: Rig;
let stateFolder: string;
let child: ChildProcess | null = null;

beforeEach(async () => {
  rig = await Rig.start();
  stateFolder = await mkdtemp(path.join(tmpdir(), "worker-device-"));
});
afterEach(async () => {
  if (child !== null) await kill(child);
  await rig.stop();
  await rm(stateFolder, { recursive: true });
});

function start(settings: Record<string, string>, execArgv: string[] = []) {
  const { port } = rig.queueServer;
  const env = {
    ...process.env,
    ...childEnvironment(port, rig.edge.url),
    SQS_QUEUE_URL: jobsQueueUrl(port),
    LLM_OS_STATE: stateFolder,
    LLM_OS_CUDA: "",
    LLM_OS_LOG_LEVEL: "info",
    UV_THREADPOOL_SIZE: "16",
    ...settings,
  };
  const started = fork(script, { env, execArgv, silent: true });
  child = started;
  const output = outputOf(started);
  const ended = once(started, "exit").then(([code]) => ({ code, output: output() }));
  const ready = new Promise<void>((resolve, reject) => {
    started.on("message", (message: { type: string }) => {
      if (message.type === "ready") resolve();
    });
    void ended.then((end) => reject(new Error(end.output)));
  });
  // A test that does not wait for it has no use for its rejection.
  ready.catch(() => {});
  return { ended, ready };
}

function embedding(text: string) {
  const { id, shard, tenant, createdAt } = noopMessage();
  const envelope = { version: 1, id, shard, tenant, createdAt, requestKey: null } as const;
  const model = "all-MiniLM-L6-v2";
  const task = "feature-extraction" as const;
  return { ...envelope, model, task, parameters: {}, inputs: [text] };
}

describe("the worker with LLM_OS_DEVICE=cuda", () => {
  it("refuses to start without the provider: what is missing, and what to run", async () => {
    const { code, output } = await start({ LLM_OS_DEVICE: "cuda" }).ended;
    expect(code).toBe(1);
    expect(output).toMatch(
      /The worker cannot start:\n {2}LLM_OS_DEVICE is cuda, and CUDA cannot be used: .*not installed/,
    );
    expect(output).toMatch(
      /not installed.*npm run worker -- install-cuda.*set LLM_OS_DEVICE to auto or cpu/,
    );
  });

  it("refuses a form that a GPU does not compute in", async () => {
    const settings = { LLM_OS_DEVICE: "cuda", LLM_OS_FORM: "int8" };
    const { code, output } = await start(settings, ["--import", preload]).ended;
    expect(code).toBe(1);
    expect(output).toMatch(/The worker cannot start:\n {2}LLM_OS_FORM is int8, but a GPU computes/);
  });

  it("serves in f16, and ends when its device breaks, every job handed back and none failed", async () => {
    const failsWhile = path.join(stateFolder, "broken");
    const settings = { LLM_OS_DEVICE: "cuda", FAILS_WHILE: failsWhile };
    const { ready, ended } = start(settings, ["--import", preload]);
    await ready;
    rig.send(embedding("A first text."));
    await rig.edge.until(() => rig.edge.terminal.length === 1);
    expect(rig.edge.terminal[0]).toMatchObject({ type: "succeeded" });
    writeFileSync(failsWhile, "");
    const jobs = ["one", "two", "three", "four"].map(embedding);
    for (const job of jobs) rig.send(job);
    const { code, output } = await ended;
    expect(code).toBe(1);
    expect(output).toContain("the model in f16 is accurate enough");
    expect(output).toMatch(/the device is broken: another worker has to take over/);
    expect(rig.edge.terminal).toHaveLength(1);
    const { ready: waiting, inFlight } = rig.queued("jobs");
    const bodies = waiting.map(({ body }) => JSON.parse(body).id);
    expect(bodies.toSorted()).toEqual(jobs.map(({ id }) => id).toSorted());
    expect(inFlight).toEqual([]);
  });
});
