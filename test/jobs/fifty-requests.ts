/**
 * Run on its own, because it measures a whole process: fifty of the largest requests at once, their inputs fetched from
 * an object store that hands out fresh copies. Prints one JSON line with how they ended and the peak of the process's
 * memory.
 */
import { readFileSync } from "node:fs";
import type { JobMessage } from "../../contract/job-message.ts";
import { ComputationExecutor } from "../../gpu-worker/jobs/computation-executor.ts";
import type { ObjectStore } from "../../gpu-worker/jobs/object-store.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { translateError } from "../../gpu-worker/jobs/translate-error.ts";
import { returnMemory } from "../../gpu-worker/runtime/c-api/return-memory.ts";
import { type LargeRequest, largestRequests } from "./largest-requests.ts";
import { headOf, randomEngine, randomModels } from "./random-model.ts";
import { noopMessage } from "./rig.ts";

/** How many of each, by what it is. */
const counts: Readonly<Record<string, number>> = {
  "8 MB of dots": 14,
  "all tokens in one text": 6,
  "as many ids as a request may hold": 8,
  "as many entities as fit a result": 4,
  "a thousand answers, too many in all": 4,
  "as many fillings as fit a result": 8,
  "a thousand fillings of many masks": 4,
  "documents of 8 MB, returned": 2,
};

const models = await randomModels();
/** As bytes, which are no part of what is measured. */
const stored = new Map<string, Buffer>();

const objects: ObjectStore = {
  // As if it came over the network: nothing of it is shared.
  read: ({ key }) => Promise.resolve((stored.get(key) ?? Buffer.alloc(0)).toString()),
  open: async function* ({ key }) {
    yield stored.get(key) ?? Buffer.alloc(0);
  },
  async write(key, { parts }) {
    const pieces: Buffer[] = [];
    for await (const part of parts) pieces.push(Buffer.from(part));
    return { key, bytes: Buffer.concat(pieces).byteLength, sha256: "0".repeat(64) };
  },
};
const runner = new TaskRunner({
  policy: cpuBatchPolicy,
  now: () => performance.now(),
  openEngine: randomEngine,
});
const lease = (id: string) =>
  Promise.resolve({ model: models[id as keyof typeof models], release: () => undefined });
const executor = new ComputationExecutor({ models: { lease }, runner, objects, returnMemory });

function messageOf({ task, inputs, parameters }: LargeRequest, key: string): JobMessage {
  const json = Buffer.from(JSON.stringify(inputs));
  stored.set(key, json);
  const reference = { key, bytes: json.byteLength, sha256: "0".repeat(64) };
  const model = headOf[task as keyof typeof headOf];
  return { ...noopMessage(), model, task, inputs: reference, parameters } as JobMessage;
}

const messages = largestRequests.flatMap((request) => {
  const count = counts[request.what] ?? 0;
  if (count === 0) return [];
  const message = messageOf(request, request.what);
  return Array.from({ length: count }, () => message);
});
const signal = new AbortController().signal;
const outcomes = await Promise.all(
  messages.map(async (message) => {
    const answer = await executor
      .execute(message, { signal, onProgress: () => undefined, onRun: () => undefined })
      .catch(translateError);
    return "code" in answer ? answer.code : "succeeded";
  }),
);
const [, peakKib = "0"] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
console.log(JSON.stringify({ outcomes, peakBytes: 1_024 * Number(peakKib) }));
