/**
 * What a stranger may send at its largest, of every task: answered within the bounds or refused by name, and never
 * alone.
 */
import process from "node:process";
import { describe, expect, it } from "vitest";
import { ErrorCode, errorTable } from "../../contract/errors.ts";
import { parseResultDocument } from "../contract/parse-result-document.ts";
import type { JobMessage } from "../../contract/job-message.ts";
import { limits } from "../../contract/limits.ts";
import { tasks } from "../../contract/tasks.ts";
import { ComputationExecutor } from "../../gpu-worker/jobs/computation-executor.ts";
import type { ObjectStore } from "../../gpu-worker/jobs/object-store.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { translateError } from "../../gpu-worker/jobs/translate-error.ts";
import { largestRequests } from "./largest-requests.ts";
import { headOf, randomEngine, randomModels } from "./random-model.ts";
import { noopMessage } from "./rig.ts";

const never = new AbortController().signal;
const models = await randomModels();

/** Keeps what was written last. */
function keeper(): ObjectStore & { last: string } {
  return {
    last: "",
    read: () => Promise.reject(new Error("nothing is stored")),
    open: () => {
      throw new Error("nothing is stored");
    },
    async write(key, { parts }) {
      this.last = "";
      for await (const part of parts) this.last += part;
      return { key, bytes: Buffer.byteLength(this.last), sha256: "0".repeat(64) };
    },
  };
}

const lease = (id: string) =>
  Promise.resolve({ model: models[id as keyof typeof models], release: () => undefined });

function executorOn(objects: ObjectStore): ComputationExecutor {
  const runner = new TaskRunner({
    policy: cpuBatchPolicy,
    now: () => performance.now(),
    openEngine: randomEngine,
  });
  return new ComputationExecutor({ models: { lease }, runner, objects });
}

const computedMs = () => process.threadCpuUsage().user / 1_000;

/**
 * Milliseconds for which this thread computed without giving others their turn, at most: no matter what else the
 * machine does.
 */
async function longestTurn(promise: Promise<unknown>): Promise<number> {
  let [last, longest, settled] = [computedMs(), 0, false];
  const look = () => {
    const now = computedMs();
    longest = Math.max(longest, now - last);
    last = now;
    if (!settled) setImmediate(look);
  };
  setImmediate(look);
  await promise;
  settled = true;
  look();
  return longest;
}

describe.each(largestRequests)("$task: $what", ({ task, inputs, parameters, refused }) => {
  it("is admitted by the schema, and answered or refused by name", async () => {
    tasks[task].parameters.parse(parameters);
    const job = {
      ...noopMessage(),
      model: headOf[task as keyof typeof headOf],
      task,
      inputs,
      parameters,
    } as JobMessage;
    const objects = keeper();
    const answering = executorOn(objects)
      .execute(job, { signal: never, onProgress: () => undefined, onRun: () => undefined })
      .catch(translateError);
    // Some steps of the tokenizer's library take 20 ms, the collector of garbage has its turns too, and a core that
    // others share may be several times slower.
    expect(await longestTurn(answering)).toBeLessThan(500);
    const answer = await answering;
    if ("code" in answer) {
      expect(errorTable[ErrorCode.parse(answer.code)].status).toBe(400);
      expect(answer.param).toBe(refused);
      return;
    }
    expect(refused).toBeUndefined();
    const { result, usage } = answer;
    expect(usage.promptTokens).toBeGreaterThan(0);
    expect(usage.promptTokens).toBeLessThanOrEqual(limits.tokensPerRequestMax);
    const whole = parseResultDocument(typeof result === "string" ? result : objects.last);
    expect(whole.outputs).toHaveLength(inputs.length);
    expect(JSON.stringify(whole).length).toBeLessThanOrEqual(limits.resultBytesMax);
  });
});
