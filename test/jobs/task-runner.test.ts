/** The runner on toy models: who shares a batch and who a slot, what sets the budgets, and fitted heads. */
import { describe, expect, it, vi } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { LinearHead } from "../../gpu-worker/model/linear-head.ts";
import { featureExtraction } from "../../gpu-worker/pipelines/feature-extraction.ts";
import type { EncoderPipeline } from "../../gpu-worker/pipelines/pipeline.ts";
import { readRows } from "../../gpu-worker/pipelines/read-rows.ts";
import { type ToyEncoder, toyEncoder } from "../pipelines/toy-encoder.ts";

const never = new AbortController().signal;
const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

function extract(
  runner: TaskRunner,
  model: EncoderModel,
  inputs: string[],
  options: { tenant?: string } = {},
) {
  const request = { task: "feature-extraction" as const, inputs, parameters: {} };
  return runner.run(featureExtraction, request, model, { signal: never, ...options });
}

/** A gate that lets one run through each time it is opened, and counts those at it. */
function closeGate(...models: ToyEncoder[]) {
  const waiting: (() => void)[] = [];
  const arrivals: (() => void)[] = [];
  const entered: ToyEncoder[] = [];
  for (const model of models) {
    model.gate = () =>
      new Promise((resolve) => {
        entered.push(model);
        waiting.push(resolve);
        for (const arrived of arrivals.splice(0)) arrived();
      });
  }
  /** Resolves when so many runs have come to the gate in all. */
  const reached = async (count: number) => {
    while (entered.length < count) await new Promise<void>((resolve) => arrivals.push(resolve));
  };
  return { waiting, reached, openOnce: () => waiting.shift()?.() };
}

/** Of a model whose runs have the fixed cost of so many tokens. */
const costsOf = (overhead: number) =>
  [16, 128, 384].map((tokens) => ({ tokens, seconds: overhead + tokens }));

describe("TaskRunner", () => {
  it("runs heads over one backbone in one batch", async () => {
    const base = toyEncoder();
    const gate = closeGate(base);
    const heads = [1, 2, 3].map((id) => ({ ...base, id: `head-${id}`, digest: `${id}` }));
    const runner = makeRunner();
    const before = extract(runner, base, ["3"]);
    await gate.reached(1);
    const answers = heads.map((head) => extract(runner, head, ["3 4"]));
    // Texts of four tokens, special ones included.
    await vi.waitFor(() => expect(runner.backlogTokens(Infinity)).toBe(3 * 4));
    gate.openOnce();
    await gate.reached(2);
    gate.openOnce();
    await Promise.all([before, ...answers]);
    expect(base.runs).toEqual([
      [1, 3],
      [3, 4],
    ]);
  });

  it("counts progress over all rows of a request that are run some at a time", async () => {
    const inParts: EncoderPipeline<"feature-extraction"> = {
      kind: "encoder",
      async answer({ inputs }, model, context) {
        const rows = inputs.map(() => ({ ids: [1, 3, 2], outputs: ["pooled"] as const }));
        const reading = { floatsOf: () => 2 ** 20, read: () => "" };
        const outputs = await readRows(rows, model, context, reading);
        return { outputs, usage: { promptTokens: 0 }, warnings: [] };
      },
    };
    const seen: [number, number][] = [];
    const inputs = Array.from({ length: 8 }, () => "3");
    await makeRunner().run(
      inParts,
      { task: "feature-extraction", inputs, parameters: {} },
      toyEncoder(),
      { signal: never, onProgress: (completed, total) => seen.push([completed, total]) },
    );
    expect(seen).toEqual([1, 2, 3, 5, 6, 7].map((completed) => [completed, 8]));
  });

  it("runs no more batches side by side for three models than for one", async () => {
    const models = [toyEncoder(), toyEncoder(), toyEncoder()];
    const gate = closeGate(...models);
    const runner = makeRunner();
    const answers = models.map((model) => extract(runner, model, ["3 4"]));
    for (let served = 1; served <= models.length; served += 1) {
      await gate.reached(served);
      expect(gate.waiting).toHaveLength(1);
      gate.openOnce();
    }
    expect(await Promise.all(answers)).toHaveLength(3);
  });

  it("counts a tenant's backlog up to a cap that all models share", async () => {
    const models = [toyEncoder(), toyEncoder(), toyEncoder()];
    const running = toyEncoder();
    const gate = closeGate(running, ...models);
    const runner = makeRunner();
    const first = extract(runner, running, ["3"]);
    await gate.reached(1);
    const answers = models.flatMap((model) => [
      extract(runner, model, ["3 4", "5 6"], { tenant: "crowd" }),
      extract(runner, model, ["7 8"], { tenant: "alone" }),
    ]);
    // What runs does not count. The texts have four tokens each, special ones included.
    await vi.waitFor(() => expect(runner.backlogTokens(Infinity)).toBe(3 * (8 + 4)));
    expect(runner.backlogTokens(20)).toBe(20 + 12);
    for (let served = 1; served <= 1 + models.length; served += 1) {
      await gate.reached(served);
      gate.openOnce();
    }
    await Promise.all([first, ...answers]);
    expect(runner.backlogTokens(Infinity)).toBe(0);
  });

  it("makes batches as large as a model's measured costs say", async () => {
    const inputs = Array.from({ length: 60 }, () => "3 4 5 6 7 8 9 10");
    const sizesWith = async (costs: EncoderModel["costs"]) => {
      const base = toyEncoder();
      const model = costs === undefined ? base : { ...base, costs };
      await extract(makeRunner(), model, inputs);
      return Math.max(...base.runs.map(([rows]) => rows));
    };
    // Of 10 tokens each: 320, 512 and 2 048 tokens.
    expect(await sizesWith(costsOf(0))).toBe(32);
    expect(await sizesWith(undefined)).toBe(51);
    expect(await sizesWith(costsOf(100))).toBe(60);
  });
});

const head: LinearHead = {
  pooling: "mean",
  weight: Float32Array.of(1, 2),
  bias: Float32Array.of(0),
};

/** A pipeline that does nothing but ask for the head of its input. */
function fitting(fit: (key: string) => Promise<LinearHead>): EncoderPipeline<"feature-extraction"> {
  return {
    kind: "encoder",
    async answer({ inputs }, _model, { classifier }) {
      const key = String(inputs[0]);
      const { bias } = await classifier(key, () => fit(key));
      return { outputs: [String(bias[0])], usage: { promptTokens: 0 }, warnings: [] };
    },
  };
}

function ask(runner: TaskRunner, key: string, fit: (key: string) => Promise<LinearHead>) {
  const request = { task: "feature-extraction" as const, inputs: [key], parameters: {} };
  return runner.run(fitting(fit), request, toyEncoder(), { signal: never });
}

describe("TaskRunner's fitted heads", () => {
  it("are fitted once by their key, however many ask and whenever", async () => {
    const runner = makeRunner();
    const fitted: string[] = [];
    const fit = async (key: string) => {
      fitted.push(key);
      return head;
    };
    await Promise.all(["a", "a", "b"].map((key) => ask(runner, key, fit)));
    await ask(runner, "a", fit);
    expect(fitted).toEqual(["a", "b"]);
  });

  it("are fitted again by the next who waits where the first has failed or left", async () => {
    const runner = makeRunner();
    const first = ask(runner, "a", () => Promise.reject(new Error("left")));
    const second = ask(runner, "a", () => Promise.resolve(head));
    await expect(first).rejects.toThrow("left");
    expect((await second).outputs).toEqual(["0"]);
  });
});
