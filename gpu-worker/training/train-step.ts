/**
 * A graph that trains, held open: parameters and the optimizer's states stay in the runtime's memory, and each step
 * updates them in place; evaluations and copies take turns with steps. What is to be decided between steps (data,
 * schedules, when to stop) is not decided here.
 */
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import type { Graph } from "../onnx/graph.ts";
import { writeModel } from "../onnx/write-model.ts";
import type { AllocatedValue, BoundSession } from "../runtime/bound-session.ts";
import { createRunQueue } from "../runtime/run-queue.ts";
import type { LoadedSession, Runtime } from "../runtime/session.ts";
import { scalar } from "../tensor/scalar.ts";
import { float32 } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import type { WeightSource } from "../weights/weight-source.ts";

export type TrainStepOptions = {
  readonly runtime: Runtime;
  /**
   * Gives `NAME.next` for what is updated, as an optimizer makes it (autodiff/optimizers); an output of shape [] is a
   * figure of the step. An input is a parameter if it has such an output or `weights` has a tensor of its name, else it
   * is fed.
   */
  readonly update: Graph;
  /** Reads the same parameters; null: there is nothing to evaluate. */
  readonly evaluation: Graph | null;
  /** Where parameters start; a state that it lacks starts at 0. Not read any more once the step is open. */
  readonly weights: WeightSource;
  /** An existing folder, for the graphs' files while they are open. */
  readonly folder: string;
  /**
   * Default: as many as all sessions share, but its own, which spin between the thousands of small operators of a step:
   * MiniLM's takes two thirds of the time.
   */
  readonly threads?: number;
  readonly signal?: AbortSignal;
};

type Feeds = Readonly<Record<string, Tensor>>;

export type TrainStep = {
  /** Steps taken, those of a training that goes on included. */
  readonly steps: number;
  /**
   * One update. An aborted one leaves the parameters in an unknown state: write them anew.
   * @param feeds of one batch
   * @returns the graph's figures by name: `loss`, `grad_norm`
   */
  step: (
    feeds: Feeds,
    options: { readonly learningRate: number; readonly signal?: AbortSignal },
  ) => Promise<Readonly<Record<string, number>>>;
  /** What the evaluation graph gives for one batch. @throws TypeError where there is none */
  evaluate: (feeds: Feeds, signal?: AbortSignal) => Promise<Readonly<Record<string, Tensor>>>;
  /** Names of what is updated: trainable tensors, and the optimizer's states. */
  readonly updated: readonly string[];
  /** Copies, of any of them. */
  read: (names: readonly string[]) => Promise<Map<string, Tensor>>;
  /** @param steps taken by then */
  write: (tensors: ReadonlyMap<string, Tensor>, steps: number) => Promise<void>;
  /** Waits for what was asked for, then frees everything. */
  release: () => Promise<void>;
};

const next = ".next";

/** Inputs of the optimizer: see autodiff/optimizers/adam-w.ts. */
const [rateInput, stepInput] = ["lr", "step"];

type Residents = ReadonlyMap<string, AllocatedValue>;

function updatedNames({ outputs }: Graph): string[] {
  const names = outputs.map(({ name }) => name);
  return names.filter((name) => name.endsWith(next)).map((name) => name.slice(0, -next.length));
}

async function allocate(
  session: LoadedSession,
  update: Graph,
  weights: WeightSource,
): Promise<Residents> {
  const updated = new Set(updatedNames(update));
  const residents = new Map<string, AllocatedValue>();
  for (const { name, dtype, shape } of update.inputs) {
    const isStored = weights.entry(name) !== null;
    if (!isStored && !updated.has(name)) continue;
    const lengths = shape.map(Number);
    const value = await session.allocate(dtype, lengths);
    residents.set(name, value);
    if (isStored) await value.write(float32(lengths, readFloat32(weights, name)));
  }
  return residents;
}

/** A run's bindings: all residents it reads, what it updates in place, and the rest for the host. */
function bind(session: LoadedSession, { inputs, outputs }: Graph, residents: Residents) {
  const bound = inputs.flatMap(({ name }) => {
    const value = residents.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const results = outputs.map(({ name, shape }) => {
    const value = name.endsWith(next) ? residents.get(name.slice(0, -next.length)) : undefined;
    return [name, value?.view(0, shape.map(Number)) ?? "host"] as const;
  });
  return session.bind({
    inputs: Object.fromEntries(bound),
    outputs: Object.fromEntries(results),
  });
}

type Opened = {
  readonly sessions: LoadedSession[];
  readonly residents: Residents;
  readonly update: BoundSession;
  readonly evaluation: BoundSession | null;
};

async function openBound(
  { runtime, update, evaluation, weights, threads = runtime.threads, signal }: TrainStepOptions,
  folder: string,
): Promise<Opened> {
  const sessions: LoadedSession[] = [];
  const load = async (graph: Graph, name: string) => {
    const file = path.join(folder, name);
    await writeModel(graph, file, signal);
    const options = { threads, provider: "cpu", ...stopBy(signal) } as const;
    const session = await runtime.load({ path: file }, options);
    sessions.push(session);
    return session;
  };
  try {
    const session = await load(update, "update.onnx");
    const residents = await allocate(session, update, weights);
    return {
      sessions,
      residents,
      update: bind(session, update, residents),
      evaluation:
        evaluation === null
          ? null
          : bind(await load(evaluation, "evaluation.onnx"), evaluation, residents),
    };
  } catch (error) {
    for (const session of sessions) await session.release();
    throw error;
  }
}
/** What a bound run may be fed: its own inputs that are not resident. */
function pick(graph: Graph, feeds: Feeds): Record<string, Tensor> {
  const own = graph.inputs.flatMap(({ name }) => {
    const value = feeds[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(own);
}

function figuresOf(results: Feeds): Record<string, number> {
  const figures = Object.entries(results).flatMap(([name, { shape, data }]) =>
    shape.length === 0 ? [[name, Number(data[0])] as const] : [],
  );
  return Object.fromEntries(figures);
}

/**
 * @throws RuntimeError for graphs that do not fit, or where memory is short; TypeError for one that updates nothing;
 *   the signal's reason
 */
export async function openTrainStep(options: TrainStepOptions): Promise<TrainStep> {
  if (updatedNames(options.update).length === 0) throw new TypeError("the graph updates nothing");
  const folder = await mkdtemp(path.join(options.folder, "training-"));
  try {
    const opened = await openBound(options, folder);
    return stepOver(options, opened, () => rm(folder, { recursive: true, force: true }));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function stopBy(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function stepOver(
  { update, evaluation }: TrainStepOptions,
  opened: Opened,
  cleanUp: () => Promise<void>,
): TrainStep {
  const { residents } = opened;
  let steps = 0;
  let released: Promise<void> | null = null;
  // One after the other: all use the same memory.
  const turns = createRunQueue(1);
  const residentOf = (name: string) => {
    const value = residents.get(name);
    if (value === undefined) throw new TypeError(`"${name}" is not resident`);
    return value;
  };
  return {
    get steps() {
      return steps;
    },
    updated: updatedNames(update),
    step: (feeds, { learningRate, signal }) =>
      turns.run(async () => {
        const given = {
          ...feeds,
          [rateInput]: scalar("float32", learningRate),
          [stepInput]: scalar("int64", steps + 1),
        };
        const results = await opened.update.run(pick(update, given), stopBy(signal));
        steps += 1;
        return figuresOf(results);
      }, signal),
    evaluate: (feeds, signal) =>
      turns.run(async () => {
        if (opened.evaluation === null || evaluation === null) {
          throw new TypeError("there is no graph that evaluates");
        }
        return opened.evaluation.run(pick(evaluation, feeds), stopBy(signal));
      }, signal),
    read: (names) =>
      turns.run(async () => {
        const tensors = new Map<string, Tensor>();
        for (const name of names) tensors.set(name, await residentOf(name).read());
        return tensors;
      }),
    write: (tensors, taken) =>
      turns.run(async () => {
        for (const [name, tensor] of tensors) await residentOf(name).write(tensor);
        steps = taken;
      }),
    release: () =>
      (released ??= turns.runAlone(async () => {
        for (const session of opened.sessions.toReversed()) await session.release();
        await cleanUp();
      })),
  };
}
