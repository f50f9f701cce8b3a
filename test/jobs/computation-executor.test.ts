/**
 * What the result of a computation says besides its outputs: the digests it carries, and warnings within their bounds.
 */
import { describe, expect, it } from "vitest";
import { parseResultDocument } from "../contract/parse-result-document.ts";
import type { JobMessage } from "../../contract/job-message.ts";
import { limits } from "../../contract/limits.ts";
import type { TunedModelSource } from "../../contract/training/tuned-model.ts";
import { ComputationExecutor } from "../../gpu-worker/jobs/computation-executor.ts";
import { MemorySemaphore } from "../../gpu-worker/jobs/memory-semaphore.ts";
import { jsonItems, jsonParts } from "../../gpu-worker/jobs/json-parts.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { randomEngine, randomModels } from "./random-model.ts";
import { noopMessage } from "./rig.ts";

const never = new AbortController().signal;
const models = await randomModels();

type Given = {
  signal?: AbortSignal;
  onRun?(tokens: number): void;
  onLease?(id: string, tuned: TunedModelSource | undefined): void;
  returnMemory?(): Promise<void>;
};

function answer(
  message: object,
  {
    signal = never,
    onRun = () => undefined,
    onLease = () => undefined,
    returnMemory = () => Promise.resolve(),
  }: Given = {},
) {
  const executor = new ComputationExecutor({
    models: {
      lease: (id, _, tuned) => {
        onLease(id, tuned);
        const model = models[tuned === undefined ? (id as keyof typeof models) : "classes"];
        return Promise.resolve({ model, release: () => undefined });
      },
    },
    runner: new TaskRunner({
      policy: cpuBatchPolicy,
      now: () => performance.now(),
      openEngine: randomEngine,
    }),
    objects: {
      read: () => Promise.reject(new Error("nothing is stored")),
      open: () => {
        throw new Error("nothing is stored");
      },
      write: () => Promise.reject(new Error("nothing is to be stored")),
    },
    returnMemory,
  });
  const job = { ...noopMessage(), ...message } as JobMessage;
  return executor.execute(job, { signal, onProgress: () => undefined, onRun });
}

const relate = (input: string) =>
  answer({ task: "relation-extraction", model: "classes", inputs: [input], parameters: {} });

describe("the digest of a result", () => {
  it("is that of both models where another one found the entities", async () => {
    const { modelDigest, models: named } = await relate("Paris and a storm near Köln");
    expect(modelDigest).toBe("digest of classes+digest of entities");
    expect(named).toEqual([
      { id: "classes", digest: "digest of classes" },
      { id: "entities", digest: "digest of entities" },
    ]);
  });

  it("is the model's own where the parts are marked", async () => {
    const { modelDigest } = await relate("<e1>Paris</e1> and <e2>Köln</e2>");
    expect(modelDigest).toBe("digest of classes");
  });
});

describe("a message for a tenant's own model", () => {
  it("leases the model by what it says of its files, and others by their names alone", async () => {
    const name = `ft:tiny:mine:${"0".repeat(32)}`;
    const object = { key: "tuned/0", bytes: 1, sha256: "ab".repeat(32) };
    const tuned = { name, digest: "cd".repeat(32), files: [{ path: "config.json", object }] };
    const leased: unknown[] = [];
    const onLease = (...lease: unknown[]) => leased.push(lease);
    const inputs = ["Paris and a storm near Köln"];
    const message = { task: "relation-extraction", model: name, inputs, parameters: {}, tuned };
    await answer(message, { onLease });
    expect(leased).toEqual([
      [name, tuned],
      ["entities", undefined],
    ]);
  });

  it("is answered with what the model is, where that is all that is asked", async () => {
    const { result, usage } = await answer({
      task: "load-model",
      model: "classes",
      inputs: [{}],
      parameters: {},
    });
    const { tasks, limits: own, digest } = models.classes;
    const { outputs } = parseResultDocument(String(result));
    expect(outputs).toEqual([{ tasks, limits: own, digest }]);
    expect(usage.promptTokens).toBe(0);
  });
});

describe("a computation on ids that stand for texts", () => {
  it.each([
    { of: "a run of signs each", ids: Array<number>(1_100).fill(8_315), large: true },
    { of: "a word each", ids: Array<number>(1_100).fill(5), large: false },
  ])("is as large as these are: $of", async ({ ids, large }) => {
    let returned = 0;
    const parameters = { token_ids: "either", truncate: true };
    await answer(
      { task: "feature-extraction", model: "sentence", inputs: [ids], parameters },
      { returnMemory: async () => void (returned += 1) },
    );
    expect(returned).toBe(large ? 1 : 0);
  });
});

describe("a computation that runs no model and is aborted", () => {
  const texts = Array.from({ length: 2_000 }, (_, index) => `storm ${index} ${"x ".repeat(100)}`);
  const tokens = Array.from({ length: 2_000 }, () => [5, 6, 7]);

  it.each([
    ["tokenize", texts],
    ["detokenize", tokens],
  ])("has taken what it had read by then: %s", async (task, inputs) => {
    const leaving = new AbortController();
    const counted: number[] = [];
    const onRun = (count: number) => {
      counted.push(count);
      if (counted.length === 10) leaving.abort(new Error("left"));
    };
    const message = { task, model: "classes", inputs, parameters: {} };
    await expect(answer(message, { signal: leaving.signal, onRun })).rejects.toThrow("left");
    expect(counted.length).toBeGreaterThanOrEqual(10);
    expect(counted.length).toBeLessThan(inputs.length);
    for (const count of counted) expect(count).toBeGreaterThan(0);
  });
});

describe("warnings", () => {
  it("are cut to their bound, whatever words they quote", async () => {
    const targets = Array.from({ length: 20 }, (_, at) => `storm ${at} ${"😀".repeat(45)}`);
    const { result } = await answer({
      task: "fill-mask",
      model: "mask",
      inputs: ["a [MASK]"],
      parameters: { targets },
    });
    const { warnings } = parseResultDocument(String(result));
    expect(warnings[0]).toHaveLength(limits.warningCharactersMax);
    expect(warnings[0]).toMatch(/…$/);
  });
});

const settled = async (promise: Promise<unknown>) =>
  (await Promise.race([promise.then(() => true), new Promise(setImmediate)])) === true;

describe("a semaphore of memory", () => {
  it("admits what fits, and the others in the order they came", async () => {
    const semaphore = new MemorySemaphore(10);
    const release = await semaphore.acquire(6, never);
    const large = semaphore.acquire(100, never);
    const small = semaphore.acquire(1, never);
    expect([await settled(large), await settled(small)]).toEqual([false, false]);
    release();
    release();
    const releaseLarge = await large;
    // What is larger than all of it is held alone.
    expect(await settled(small)).toBe(false);
    releaseLarge();
    await small;
  });

  it("forgets a waiter that is aborted, and admits the one behind it", async () => {
    const semaphore = new MemorySemaphore(10);
    await semaphore.acquire(6, never);
    const controller = new AbortController();
    const large = semaphore.acquire(8, controller.signal);
    const small = semaphore.acquire(4, never);
    controller.abort(new Error("left"));
    await expect(large).rejects.toThrow("left");
    await small;
  });
});

describe("JSON in parts", () => {
  const documents: unknown[] = [
    null,
    [],
    {},
    "text",
    [[]],
    { a: undefined, b: [undefined, null], c: { d: 'é😀\u0001"\\' } },
    Array.from({ length: 9_000 }, (_, at) => [at, { text: "x".repeat(at % 50), at: [at] }]),
    { outputs: [{ tokens: Array.from({ length: 9_000 }, (_, at) => at) }, "y".repeat(300_000)] },
  ];

  it("is what JSON.stringify writes", async () => {
    for (const document of documents) {
      let written = "";
      for await (const part of jsonParts(document, never)) written += part;
      expect(written).toBe(JSON.stringify(document));
    }
  });

  it("is read item by item, whatever stands in them", () => {
    const items = ['a,]"\\', { 'b"': [1, "}", { c: [] }] }, [[], "[,"], 3, null, "\\\\"];
    for (const space of [0, 2]) {
      const read = [...jsonItems(JSON.stringify(items, null, space))].map((item) =>
        JSON.parse(item),
      );
      expect(read).toEqual(items);
    }
    expect([...jsonItems(" [ ] ")]).toEqual([]);
    for (const wrong of ["", "{}", "[1", '["a]', "null"]) {
      expect(() => [...jsonItems(wrong)]).toThrow(SyntaxError);
    }
  });
});
