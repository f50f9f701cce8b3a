/** The worker as the process it is: the embedded model over the queue, signals, the launcher's end, and SIGKILL. */
import { parseResultDocument } from "../contract/parse-result-document.ts";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { childEnvironment, jobsQueueUrl, kill, outputOf } from "./child-process.ts";
import { Rig, noopMessage, openTestQueue } from "./rig.ts";

const script = path.resolve(import.meta.dirname, "../../gpu-worker/main.ts");
const references = path.resolve(
  import.meta.dirname,
  "../../../shared/models/references/minilm-embeddings.json",
);

let rig: Rig;
let stateFolder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  stateFolder = await mkdtemp(path.join(tmpdir(), "worker-state-"));
});
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await rig.stop();
});
afterAll(() => rm(stateFolder, { recursive: true }));

function environment(): Record<string, string> {
  const { port } = rig.queueServer;
  return {
    ...(process.env as Record<string, string>),
    ...childEnvironment(port, rig.edge.url),
    SQS_QUEUE_URL: jobsQueueUrl(port),
    LLM_OS_STATE: stateFolder,
    LLM_OS_FORM: "f32",
    LLM_OS_LOG_LEVEL: "warn",
    UV_THREADPOOL_SIZE: "16",
  };
}

type Message = { type: string; healthPort?: number };

/** @returns once the process has said that it is ready */
async function startProcess(): Promise<{ child: ChildProcess; healthPort: number }> {
  const child = fork(script, { env: environment(), silent: true });
  children.push(child);
  const output = outputOf(child);
  let healthPort = 0;
  await new Promise<void>((resolve, reject) => {
    child.on("message", (message: Message) => {
      healthPort = message.healthPort ?? healthPort;
      if (message.type === "ready") resolve();
    });
    child.once("exit", () => reject(new Error(`the worker ended:\n${output()}`)));
  });
  return { child, healthPort };
}

type Reference = { text: string; input_ids: number[]; embedding: number[] };

const cosine = (a: ArrayLike<number>, b: number[]) => {
  const dot = b.reduce((sum, x, i) => sum + x * (a[i] ?? NaN), 0);
  return dot / (Math.hypot(...Array.from(a)) * Math.hypot(...b));
};

describe("the worker process", () => {
  it("refuses to start without its settings, naming them", async () => {
    const child = fork(script, { env: { PATH: process.env["PATH"] ?? "" }, silent: true });
    children.push(child);
    const output = outputOf(child);
    const [code] = await once(child, "exit");
    expect(code).toBe(1);
    expect(output()).toMatch(/LLM_OS_EDGE_URL is not set\. Set it to/);
  });

  it.skipIf(!existsSync(references))(
    "serves the embedded model: the reference vectors, from texts and from ids",
    async () => {
      const all: Reference[] = JSON.parse(readFileSync(references, "utf8"));
      await startProcess();
      const { id, shard, tenant, createdAt } = noopMessage();
      const envelope = { version: 1, id, shard, tenant, createdAt, requestKey: null } as const;
      rig.send({
        ...envelope,
        model: "sentence-transformers/all-MiniLM-L6-v2",
        task: "feature-extraction",
        parameters: {},
        inputs: all.flatMap((reference) => [reference.text, reference.input_ids]),
      });
      await rig.edge.until(() => rig.edge.terminal.length === 1);
      const [event] = rig.edge.terminal;
      if (event?.type !== "succeeded" || typeof event.result !== "string")
        throw new Error("failed");
      const { model, outputs } = parseResultDocument(event.result);
      expect(model).toBe("all-MiniLM-L6-v2");
      const tokens = all.reduce((sum, reference) => sum + reference.input_ids.length, 0);
      expect(event.usage.promptTokens).toBe(2 * tokens);
      const cosines = outputs.map((output, index) => {
        const bytes = Uint8Array.from(Buffer.from(String(output), "base64"));
        return cosine(new Float32Array(bytes.buffer), all[index >> 1]?.embedding ?? []);
      });
      const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
      expect(mean).toBeGreaterThanOrEqual(0.999);
      expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.995);
    },
  );

  it("is healthy and ready, and ends in order on SIGTERM with nothing held", async () => {
    const { child, healthPort } = await startProcess();
    const ready = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    expect(await ready.json()).toEqual({ status: "ready" });
    rig.send(noopMessage());
    await rig.edge.until(() => rig.edge.terminal.length === 1);
    child.kill("SIGTERM");
    const [code, signal] = await once(child, "exit");
    expect([code, signal]).toEqual([0, null]);
    expect(rig.queued("jobs")).toEqual({ ready: [], inFlight: [] });
  });

  it("ends when its launcher is gone, and hands back what it could not deliver", async () => {
    const { child } = await startProcess();
    await rig.edge.stop();
    rig.send(noopMessage());
    await vi.waitFor(() => expect(rig.queued("jobs").inFlight).toHaveLength(1), 60_000);
    child.disconnect();
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
    expect(rig.queued("jobs")).toMatchObject({ ready: [{}], inFlight: [] });
  });

  it("loses no job when it is killed: the next worker answers, once", async () => {
    const first = await startProcess();
    rig.edge.acknowledges = () => false;
    const message = noopMessage();
    rig.send(message);
    await rig.edge.until(() => rig.edge.terminal.length > 0);
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    rig.edge.acknowledges = () => true;
    const queue = openTestQueue(rig.queueServer.port);
    // The dead worker's long poll still stands at the server and would take the message: it ends before this one.
    expect(await queue.receive(1)).toEqual([]);
    // What the queue does by itself when the visibility timeout has passed.
    const held = rig.queued("jobs").inFlight.map((each) => each.receiptHandle);
    expect(held).toHaveLength(1);
    await queue.setVisibility(held, 0);
    queue.close();
    const before = rig.edge.terminal.at(-1)?.sequence ?? 0;
    await startProcess();
    await vi.waitFor(() => expect(rig.queued("jobs")).toEqual({ ready: [], inFlight: [] }), 60_000);
    expect(rig.edge.terminal.at(-1)).toMatchObject({ type: "succeeded", jobId: message.id });
    expect(rig.edge.terminal.at(-1)?.sequence).toBeGreaterThan(before);
  });
});
