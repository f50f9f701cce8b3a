/** What a job's answer says besides its outputs: whose digests it carries, and warnings within their bounds. */
import { describe, expect, it } from "vitest";
import { JobResult } from "../../contract/events.ts";
import type { JobMessage } from "../../contract/job-message.ts";
import { limits } from "../../contract/limits.ts";
import { JobAnswerer } from "../../gpu-worker/jobs/computation-executor.ts";
import { MemoryGate } from "../../gpu-worker/jobs/memory-semaphore.ts";
import { countJsonBytes, jsonItems, jsonParts } from "../../gpu-worker/jobs/json-parts.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { randomModels } from "./random-model.ts";
import { noopMessage } from "./rig.ts";

const never = new AbortController().signal;
const models = await randomModels();

type Given = {
  signal?: AbortSignal;
  onRun?(tokens: number): void;
  returnMemory?(): Promise<void>;
};

function answer(
  message: object,
  { signal = never, onRun = () => undefined, returnMemory = () => Promise.resolve() }: Given = {},
) {
  const answerer = new JobAnswerer({
    models: {
      lease: (id) =>
        Promise.resolve({ model: models[id as keyof typeof models], release: () => undefined }),
    },
    runner: new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() }),
    objects: {
      read: () => Promise.reject(new Error("nothing is stored")),
      write: () => Promise.reject(new Error("nothing is to be stored")),
    },
    returnMemory,
  });
  const job = { ...noopMessage(), ...message } as JobMessage;
  return answerer.answer(job, { signal, onProgress: () => undefined, onRun });
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

describe("a job whose ids stand for texts", () => {
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

describe("a job that runs no model and is given up", () => {
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
    const { warnings } = JobResult.parse(result);
    expect(warnings[0]).toHaveLength(limits.warningCharactersMax);
    expect(warnings[0]).toMatch(/…$/);
    expect(result).toMatchObject({ warnings });
  });
});

const settled = async (promise: Promise<unknown>) =>
  (await Promise.race([promise.then(() => true), new Promise(setImmediate)])) === true;

describe("a share of memory", () => {
  it("lets in what fits, the others in the order they came", async () => {
    const gate = new MemoryGate(10);
    const leave = await gate.enter(6, never);
    const large = gate.enter(100, never);
    const small = gate.enter(1, never);
    expect([await settled(large), await settled(small)]).toEqual([false, false]);
    leave();
    leave();
    const leaveLarge = await large;
    // What is larger than the share goes alone.
    expect(await settled(small)).toBe(false);
    leaveLarge();
    await small;
  });

  it("forgets who gives up, and lets in who waited behind him", async () => {
    const gate = new MemoryGate(10);
    await gate.enter(6, never);
    const controller = new AbortController();
    const large = gate.enter(8, controller.signal);
    const small = gate.enter(4, never);
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

  it("is what JSON.stringify writes, and counted without being kept", async () => {
    for (const document of documents) {
      let written = "";
      for await (const part of jsonParts(document, never)) written += part;
      expect(written).toBe(JSON.stringify(document));
      const bytes = await countJsonBytes(document, Infinity, never);
      expect(bytes).toBe(Buffer.byteLength(written));
    }
    expect(await countJsonBytes(documents.at(-1), 1_000, never)).toBeLessThan(400_000);
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
