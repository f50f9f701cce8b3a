/** Optimizers and schedules against PyTorch and transformers; in-place updates against updates into other memory. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gradient, gradientName } from "../../gpu-worker/autodiff/gradient.ts";
import {
  accumulateGradients,
  accumulatedGradients,
  gradientSumName,
} from "../../gpu-worker/autodiff/optimizers/accumulate-gradients.ts";
import { adamW } from "../../gpu-worker/autodiff/optimizers/adam-w.ts";
import { scheduleFactor, scheduleNames } from "../../gpu-worker/autodiff/optimizers/schedules.ts";
import { sgd } from "../../gpu-worker/autodiff/optimizers/sgd.ts";
import { nextName } from "../../gpu-worker/autodiff/optimizers/update-parameters.ts";
import { GraphError } from "../../gpu-worker/onnx/graph.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { GraphBuilder } from "../../gpu-worker/onnx/graph-builder.ts";
import { verifyGraph } from "../../gpu-worker/onnx/verify-graph.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";
import type { Runtime } from "../../gpu-worker/runtime/session.ts";
import { float32, int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { runGraph } from "../onnx/run-graph.ts";
import references from "./made/references.json" with { type: "json" };
import { TrainingRun } from "./training-run.ts";

const log = { info: () => undefined, warn: () => undefined };
let runtime: Runtime;

beforeAll(async () => {
  runtime = await openRuntime({ log, only: "c-api", threads: 2 });
});

const runs: TrainingRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.release())));

async function open(graph: Graph, options: { inPlace?: boolean } = {}): Promise<TrainingRun> {
  const run = await TrainingRun.open(runtime, graph, options);
  runs.push(run);
  return run;
}

const { shapes, start } = references;
const names = ["matrix", "bias"] as const;

/** A graph whose gradients are inputs. */
function givenGradients(): Graph {
  const graph = new GraphBuilder("given");
  for (const name of names) {
    graph.input(name, "float32", shapes[name]);
    const given = graph.input(`${name}.given`, "float32", shapes[name]);
    graph.output(gradientName(name), given);
  }
  return graph.build();
}

const decayed = (weightDecay: number, rate = 1) => [
  { parameters: ["matrix"], weightDecay },
  { parameters: ["bias"], weightDecay: 0, rate },
];

const optimizers: Readonly<Record<keyof typeof references.cases, (graph: Graph) => Graph>> = {
  adamW: (graph) => adamW(graph, { groups: decayed(0.1), maxNorm: 1 }),
  "adamW, own rate and betas": (graph) =>
    adamW(graph, {
      groups: [{ parameters: ["matrix"] }, { parameters: ["bias"], weightDecay: 0, rate: 10 }],
      maxNorm: Infinity,
      betas: [0.8, 0.95],
      epsilon: 1e-6,
    }),
  sgd: (graph) => sgd(graph, { groups: decayed(0.1), maxNorm: 1 }),
  "sgd, nesterov": (graph) =>
    sgd(graph, { groups: [{ parameters: [...names] }], maxNorm: 2, momentum: 0.8, nesterov: true }),
};

/** Largest difference, as a part of the largest of what is expected. */
function error(found: ArrayLike<number | bigint>, expected: readonly number[]): number {
  const most = Math.max(...expected.map(Math.abs), 1e-30);
  return Math.max(...expected.map((value, at) => Math.abs(Number(found[at]) - value))) / most;
}

function filled(length: number, value: number): Tensor {
  const values = Array.from({ length }, () => value);
  return float32([length], values);
}

describe("an optimizer", () => {
  it.each(Object.entries(optimizers))("%s updates as PyTorch does", async (name, optimizer) => {
    const steps = Object.entries(references.cases).find(([each]) => each === name)?.[1] ?? [];
    const run = await open(optimizer(givenGradients()));
    for (const each of names) await run.write(each, float32(shapes[each], start[each]));
    for (const [at, { norm, values, states }] of steps.entries()) {
      const gradients = references.gradients[at];
      const given = names.map((each) => {
        return [`${each}.given`, float32(shapes[each], gradients?.[each] ?? [])] as const;
      });
      const scalars: Record<string, Tensor> = {
        lr: float32([], [references.rates[at] ?? 0]),
        ...(name.startsWith("adamW") ? { step: int64([], [at + 1]) } : {}),
      };
      const { grad_norm: found } = await run.step({ ...Object.fromEntries(given), ...scalars });
      expect(error(found?.data ?? [], [norm])).toBeLessThan(1e-6);
      for (const [value, expected] of Object.entries({ ...values, ...states })) {
        const { data } = await run.read(value);
        expect(error(data, expected), `${value} after step ${at + 1}`).toBeLessThan(2e-6);
      }
    }
  });

  it("always has the clip, so that all updates depend on all gradients", async () => {
    const graph = adamW(givenGradients(), { groups: decayed(0), maxNorm: Infinity });
    // Walks from each updated parameter to the gradients it depends on.
    const producers = new Map(
      graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)),
    );
    for (const name of names) {
      const reached = new Set<string>();
      const visit = (value: string) => {
        if (reached.has(value)) return;
        reached.add(value);
        for (const input of producers.get(value)?.inputs ?? []) visit(input);
      };
      visit(nextName(name));
      for (const other of names) expect(reached).toContain(`${other}.given`);
    }
  });

  it("gives what it updates without a copy, and is a valid graph", () => {
    for (const optimizer of Object.values(optimizers)) {
      const graph = optimizer(givenGradients());
      verifyGraph(graph);
      const copies = graph.nodes.filter(({ operator }) => operator === "Identity");
      // Here the gradients are inputs, of which outputs are copies.
      expect(copies.map(({ outputs }) => outputs[0])).toEqual(names.map(gradientName));
    }
  });

  it.each([1, 64, 65, 200])("updates %i vectors, each of its own length", async (count) => {
    const vectors = Array.from({ length: count }, (_, at) => ({ name: `v${at}`, length: 1 + at }));
    const graph = new GraphBuilder("vectors");
    for (const { name, length } of vectors) {
      graph.input(name, "float32", [length]);
      const given = graph.input(`${name}.given`, "float32", [length]);
      graph.output(gradientName(name), given.mul(2));
    }
    const parameters = vectors.map(({ name }) => name);
    const updated = sgd(graph.build(), { groups: [{ parameters }], maxNorm: Infinity });
    const found = new Map(updated.outputs.map(({ name, shape }) => [name, shape]));
    expect(parameters.map((name) => found.get(nextName(name)))).toEqual(
      vectors.map(({ length }) => [length]),
    );
    const run = await open(updated);
    for (const { name, length } of vectors) {
      await run.write(name, filled(length, 1));
      await run.write(`${name}.momentum_buffer`, filled(length, 0));
    }
    const gradients = vectors.map(
      ({ name, length }, at) => [`${name}.given`, filled(length, at)] as const,
    );
    await run.step({ ...Object.fromEntries(gradients), lr: float32([], [0.25]) });
    for (const [at, { name, length }] of vectors.entries()) {
      expect(await run.read(name)).toEqual(filled(length, 1 - 0.5 * at));
    }
  });

  it("refuses what could read a parameter after its update", () => {
    const graph = new GraphBuilder("beside");
    const [x, w] = ["x", "w"].map((name) => graph.input(name, "float32", [2]));
    if (x === undefined || w === undefined) throw new Error("there are two");
    graph.output("loss", x.mul(w).sum([0], false));
    graph.output("beside", w.neg());
    const trained = gradient(graph.build(), { loss: "loss", parameters: ["w"] });
    const attempt = () => adamW(trained, { groups: [{ parameters: ["w"] }], maxNorm: 1 });
    expect(attempt).toThrow(GraphError);
    expect(attempt).toThrow('"Neg" reads "w" and leads to no gradient');
  });

  it.each([
    [[], /no parameter/],
    [[{ parameters: ["matrix"] }, { parameters: ["matrix"] }], /in two groups/],
    [[{ parameters: ["lost"] }], /"lost" has no output lost.grad/],
  ])("refuses groups that are wrong: %o", (groups, message) => {
    expect(() => sgd(givenGradients(), { groups, maxNorm: 1 })).toThrow(message);
  });

  it.each([0, -1, Number.NaN])("refuses to clip to %f", (maxNorm) => {
    const attempt = () => sgd(givenGradients(), { groups: [{ parameters: [...names] }], maxNorm });
    expect(attempt).toThrow(GraphError);
  });
});

describe("schedules", () => {
  it.each(scheduleNames)("%s is transformers'", (name) => {
    const schedule = { name, warmup: 4, steps: 20 };
    for (const [step, factor] of references.schedules[name].entries()) {
      expect(scheduleFactor(schedule, step)).toBeCloseTo(factor, 12);
    }
    expect(scheduleFactor(schedule, 1000)).toBe(name === "constant" ? 1 : 0);
    expect(scheduleFactor({ name, warmup: 0, steps: 0 }, 0)).toBe(1);
  });
});

const width = 24;

/** tanh(x·Wᵀ + b) twice, and the mean square of what is missing to y. */
function perceptron(): Graph {
  const graph = new GraphBuilder("perceptron");
  const x = graph.input("x", "float32", ["batch", 2]);
  const y = graph.input("y", "float32", ["batch", 1]);
  const layer = (input: typeof x, name: string, [inputs, outputs]: readonly [number, number]) => {
    const weight = graph.input(`${name}.weight`, "float32", [outputs, inputs]);
    const bias = graph.input(`${name}.bias`, "float32", [outputs]);
    return input.op("Gemm", [weight, bias], { transB: 1 });
  };
  const first = layer(x, "first", [2, width]).tanh();
  const second = layer(first, "second", [width, width]).tanh();
  const missing = layer(second, "last", [width, 1]).sub(y);
  graph.output("loss", missing.mul(missing).op("ReduceMean", [], { keepdims: 0 }));
  return graph.build();
}

const layerShapes = new Map([
  ["first.weight", [width, 2]],
  ["first.bias", [width]],
  ["second.weight", [width, width]],
  ["second.bias", [width]],
  ["last.weight", [1, width]],
  ["last.bias", [1]],
]);
const parameters = [...layerShapes.keys()];
const groups = [{ parameters }];
const trained = () => gradient(perceptron(), { loss: "loss", parameters });

/** x₀·x₁ over a grid of the square −1 … 1. */
function batchOf(rows: readonly number[]): Record<string, Tensor> {
  const points = rows.map((row) => [((row % 8) - 3.5) / 3.5, (Math.floor(row / 8) - 3.5) / 3.5]);
  return {
    x: float32([rows.length, 2], points.flat()),
    y: float32(
      [rows.length, 1],
      points.map(([a = 0, b = 0]) => a * b),
    ),
  };
}

const all = Array.from({ length: 64 }, (_, row) => row);
const batch = batchOf(all);

async function begin(run: TrainingRun): Promise<void> {
  let state = 1;
  for (const [name, shape] of layerShapes) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 31 - 1;
    });
    await run.write(name, float32(shape, values));
  }
}

const scalarsAt = (step: number) => ({ lr: float32([], [0.02]), step: int64([], [step]) });

describe("a network that is trained in place", () => {
  it("is bit for bit what it is in other memory, and updated in parts, and learns", async () => {
    const adam = { groups, maxNorm: 1, weightDecay: 0 };
    const graph = adamW(trained(), adam);
    const [inPlace, apart] = [await open(graph), await open(graph, { inPlace: false })];
    const parts = adamW(trained(), { ...adam, elementsAtOnce: 2 * width });
    expect(parts.nodes.filter(({ operator }) => operator === "Scan")).toHaveLength(1);
    const inParts = await open(parts);
    for (const run of [inPlace, apart, inParts]) await begin(run);
    const losses: number[] = [];
    for (let step = 1; step <= 150; step++) {
      const given = { ...batch, ...scalarsAt(step) };
      const [one, other] = [await inPlace.step(given), await apart.step(given)];
      expect(one).toEqual(other);
      expect(await inParts.step(given)).toEqual(one);
      losses.push(Number(one["loss"]?.data[0]));
    }
    for (const name of parameters) {
      const expected = await apart.read(name);
      expect(await inPlace.read(name)).toEqual(expected);
      expect(await inParts.read(name)).toEqual(expected);
    }
    expect(losses[0]).toBeGreaterThan(0.3);
    expect(losses.at(-1)).toBeLessThan(0.005);
  });

  it("learns by descent with momentum too", async () => {
    const run = await open(sgd(trained(), { groups, maxNorm: 1 }));
    await begin(run);
    const lr = float32([], [0.05]);
    for (let step = 1; step <= 200; step++) await run.step({ ...batch, lr });
    const { loss } = await run.step({ ...batch, lr });
    expect(Number(loss?.data[0])).toBeLessThan(0.02);
  });

  it("takes the same step from a batch in parts", async () => {
    const adam = { groups, maxNorm: 1 };
    const whole = await open(adamW(trained(), adam));
    const part = await open(accumulateGradients(trained(), parameters));
    const apply = await open(adamW(accumulatedGradients(layerShapes), adam));
    for (const run of [whole, part, apply]) await begin(run);
    for (let step = 1; step <= 3; step++) {
      await whole.step({ ...batch, ...scalarsAt(step) });
      for (const [at, rows] of [all.slice(0, 16), all.slice(16)].entries()) {
        await part.step({
          ...batchOf(rows),
          first: { dtype: "bool", shape: [], data: Uint8Array.of(at === 0 ? 1 : 0) },
          weight: float32([], [rows.length / all.length]),
        });
      }
      for (const name of parameters) {
        await apply.write(gradientSumName(name), await part.read(gradientSumName(name)));
      }
      await apply.step(scalarsAt(step));
      for (const name of parameters) {
        const updated = await apply.read(name);
        await part.write(name, updated);
        const expected = Array.from((await whole.read(name)).data, Number);
        expect(error(updated.data, expected), name).toBeLessThan(1e-4);
      }
    }
  });

  it("begins a new sum whatever the last one was", async () => {
    const run = await open(accumulateGradients(trained(), parameters));
    await begin(run);
    await run.write(gradientSumName("last.bias"), float32([1], [Number.NaN]));
    const first = { dtype: "bool", shape: [], data: Uint8Array.of(1) } as const;
    await run.step({ ...batch, first, weight: float32([], [1]) });
    const { data } = await run.read(gradientSumName("last.bias"));
    expect(Number(data[0])).not.toBeNaN();
    expect(() => accumulateGradients(perceptron(), parameters)).toThrow(GraphError);
  });
});

describe("the gradients of a network", () => {
  it("are the same with the runtime's rewriting and without", async () => {
    const values = [...layerShapes].map(([name, shape], at) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const data = Array.from({ length: count }, (_, i) => Math.sin(i * 7 + at));
      return [name, float32(shape, data)] as const;
    });
    const feeds = { ...batch, ...Object.fromEntries(values) };
    const [one, other] = [
      await runGraph(trained(), feeds, "all"),
      await runGraph(trained(), feeds, "disabled"),
    ];
    for (const name of parameters.map(gradientName)) {
      expect(error(one[name]?.data ?? [], other[name]?.data ?? [])).toBeLessThan(1e-6);
    }
  });
});
