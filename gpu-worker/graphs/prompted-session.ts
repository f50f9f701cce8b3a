/**
 * A decoder's session whose prompts may hold virtual tokens (model/virtual-tokens.ts) of any number of soft prompts,
 * which come and go while others run. The graph is given the vectors of those that a run has, and nothing where it has
 * none: a base alone is as fast as without, and its tunes share all of its runs.
 */
import { promptInputs } from "../architectures/virtual-tokens.ts";
import { isVirtual, virtualTokensFrom } from "../model/virtual-tokens.ts";
import type { Binding, BoundSession } from "../runtime/bound-session.ts";
import { type LoadedSession, RuntimeError, type RunOptions } from "../runtime/session.ts";
import { int64, tensor, type Tensor } from "../tensor/tensor.ts";

const names: ReadonlySet<string> = new Set(Object.values(promptInputs));

function widthOf({ inputs }: LoadedSession): number {
  const width = inputs.find(({ name }) => name === promptInputs.vectors)?.shape[1];
  if (typeof width !== "number") throw new RuntimeError("the graph takes no soft prompts");
  return width;
}

export class PromptedSession implements LoadedSession {
  readonly #session: LoadedSession;
  /** Of each virtual token. */
  readonly #vectors = new Map<number, Float32Array>();
  /** What a run is fed that has no virtual tokens. */
  readonly #nothing: Record<string, Tensor>;
  #next = virtualTokensFrom;
  /** Numbers of a vector. */
  readonly width: number;
  readonly provider;
  readonly concurrency;
  readonly inputs;
  readonly outputs;

  /** @param session of a graph that takes soft prompts; released with this */
  constructor(session: LoadedSession) {
    const { provider, concurrency, inputs, outputs } = session;
    this.#session = session;
    this.width = widthOf(session);
    this.#nothing = this.#fed([], []);
    this.provider = provider;
    this.concurrency = concurrency;
    this.inputs = inputs.filter(({ name }) => !names.has(name));
    this.outputs = outputs;
  }

  /** @param vectors [tokens, width], row by row @returns the ids that stand for them, no others' before or after */
  add(vectors: Float32Array): number[] {
    const count = vectors.length / this.width;
    const ids = Array.from({ length: count }, (_, at) => this.#next + at);
    for (const [at, id] of ids.entries()) {
      this.#vectors.set(id, vectors.slice(at * this.width, (at + 1) * this.width));
    }
    this.#next += count;
    return ids;
  }

  remove(ids: readonly number[]): void {
    for (const id of ids) this.#vectors.delete(id);
  }

  async run(
    feeds: Record<string, Tensor>,
    options: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    return this.#session.run(this.#withVectors(feeds), options);
  }

  bind(binding: Binding): BoundSession {
    const bound = this.#session.bind(binding);
    return {
      run: async (feeds, options) => bound.run(this.#withVectors(feeds), options),
      release: () => bound.release(),
    };
  }

  allocate(...value: Parameters<LoadedSession["allocate"]>): ReturnType<LoadedSession["allocate"]> {
    return this.#session.allocate(...value);
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  /** @throws RuntimeError for a virtual token that has gone */
  #withVectors(feeds: Record<string, Tensor>): Record<string, Tensor> {
    const { input_ids: ids } = feeds;
    if (ids?.dtype !== "int64") throw new RuntimeError("input_ids is int64");
    const tokens = Array.from(ids.data, Number);
    const at = [...tokens.keys()].filter((index) => isVirtual(tokens[index] ?? 0));
    if (at.length === 0) return { ...feeds, ...this.#nothing };
    const vectors = at.map((index) => {
      const token = tokens[index] ?? 0;
      tokens[index] = 0;
      const vector = this.#vectors.get(token);
      if (vector === undefined) throw new RuntimeError(`virtual token ${token} was removed`);
      return vector;
    });
    const columns = ids.shape[1] ?? 1;
    const places = at.flatMap((index) => [Math.floor(index / columns), index % columns]);
    return { ...feeds, input_ids: int64(ids.shape, tokens), ...this.#fed(places, vectors) };
  }

  #fed(places: readonly number[], vectors: readonly Float32Array[]): Record<string, Tensor> {
    const data = new Float32Array(vectors.length * this.width);
    for (const [at, vector] of vectors.entries()) data.set(vector, at * this.width);
    return {
      [promptInputs.places]: int64([vectors.length, 2], places),
      [promptInputs.vectors]: tensor("float32", [vectors.length, this.width], data),
    };
  }
}
