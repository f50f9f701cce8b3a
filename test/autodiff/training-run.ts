/**
 * A graph that trains, in a session bound to values that stay: `NAME.next` in place onto `NAME`, or into a second value
 * that takes the first one's part after each step.
 */
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { nextName } from "../../gpu-worker/autodiff/optimizers/update-parameters.ts";
import type { BoundSession, ResidentValue } from "../../gpu-worker/runtime/bound-session.ts";
import type { LoadedSession, Runtime } from "../../gpu-worker/runtime/session.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

type Values = Readonly<Record<string, ResidentValue>>;

export class TrainingRun {
  readonly #session: LoadedSession;
  /** To be used in turn: of one, or of two that change parts. */
  readonly #turns: readonly { readonly bound: BoundSession; readonly results: Values }[];
  #values: Values;
  #steps = 0;

  private constructor(session: LoadedSession, turns: readonly [Values, Values][], graph: Graph) {
    this.#session = session;
    this.#values = turns[0]?.[0] ?? {};
    this.#turns = turns.map(([from, results]) => {
      const shapes = new Map(graph.outputs.map(({ name, shape }) => [name, shape.map(Number)]));
      const next = Object.entries(results).map(([name, value]) => {
        return [nextName(name), value.view(0, shapes.get(nextName(name)) ?? [])] as const;
      });
      const others = graph.outputs.filter(({ name }) => !name.endsWith(nextName("")));
      const host = others.map(({ name }) => [name, "host"] as const);
      const outputs = Object.fromEntries([...next, ...host]);
      return { bound: session.bind({ inputs: from, outputs }), results };
    });
  }

  static async open(
    runtime: Runtime,
    graph: Graph,
    { inPlace = true }: { inPlace?: boolean },
  ): Promise<TrainingRun> {
    const bytes = encodeModelProto(graph);
    const session = await runtime.load({ bytes }, { threads: "shared", provider: "cpu" });
    const inputs = new Set(graph.inputs.map(({ name }) => name));
    const updated = graph.outputs.filter(
      ({ name }) => name.endsWith(nextName("")) && inputs.has(name.slice(0, -nextName("").length)),
    );
    const kept = new Set(updated.map(({ name }) => name.slice(0, -nextName("").length)));
    // What a graph only reads stays too where it is no part of a batch.
    const resident = graph.inputs.filter(
      ({ name, dtype, shape }) =>
        kept.has(name) ||
        (dtype === "float32" && shape.length > 0 && /weight$|bias$|grad_sum$/.test(name)),
    );
    const allocate = async (all: typeof resident): Promise<Values> => {
      const values = all.map(async ({ name, dtype, shape }) => {
        return [name, await session.allocate(dtype, shape.map(Number))] as const;
      });
      return Object.fromEntries(await Promise.all(values));
    };
    const first = await allocate(resident);
    const only = (values: Values) =>
      Object.fromEntries(Object.entries(values).filter(([name]) => kept.has(name)));
    if (inPlace) return new TrainingRun(session, [[first, only(first)]], graph);
    const second = { ...first, ...(await allocate(resident.filter(({ name }) => kept.has(name)))) };
    const turns: [Values, Values][] = [
      [first, only(second)],
      [second, only(first)],
    ];
    return new TrainingRun(session, turns, graph);
  }

  async step(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
    const turn = this.#turns[this.#steps % this.#turns.length];
    if (turn === undefined) throw new Error("there is a turn");
    const results = await turn.bound.run(feeds);
    this.#values = { ...this.#values, ...turn.results };
    this.#steps += 1;
    return results;
  }

  async write(name: string, value: Tensor): Promise<void> {
    await this.#value(name).write(value);
  }

  read(name: string): Promise<Tensor> {
    return this.#value(name).read();
  }

  #value(name: string): ResidentValue {
    const value = this.#values[name];
    if (value === undefined) throw new Error(`${name} is not resident`);
    return value;
  }

  async release(): Promise<void> {
    await Promise.all(this.#turns.map(({ bound }) => bound.release()));
    await this.#session.release();
  }
}
