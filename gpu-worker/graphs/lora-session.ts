/** An encoder's graph with stacks of adapters of low rank (architectures/lora-layers.ts), and what is in them. */
import { shapeTables } from "../architectures/lora-layers.ts";
import { promptVectors } from "../architectures/virtual-tokens.ts";
import type { EncoderSession } from "../model/encoder-session.ts";
import { ownColumns } from "../model/lora-groups.ts";
import { type RunOptions, RuntimeError, type Session } from "../runtime/session.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { AdapterStacks, type StackedLayer } from "./adapter-stacks.ts";
import { PromptVectors } from "./prompt-vectors.ts";
import { downSuffix, type StackLayout, upSuffix } from "./lora-stack.ts";

/**
 * Rows that a group costs for an adapter beside its own, times the layers' weights, by the numbers of the adapter that
 * it copies: measured with MiniLM in int8, where six layers of rank 8 in each of six blocks cost as much as two and a
 * half rows.
 */
const rowsPerCopiedNumber = 80;

const ownSuffix = ".lora_own";

/** Inputs that the session feeds itself. */
export function isStack(name: string): boolean {
  const tables = [shapeTables, promptVectors];
  const suffixes = [downSuffix, upSuffix, ownSuffix];
  return tables.includes(name) || suffixes.some((suffix) => name.endsWith(suffix));
}

/** A stack for each layer. @throws RuntimeError for a graph that has none */
function stacksOf({ inputs }: Pick<Session, "inputs">): AdapterStacks {
  const layouts: StackLayout[] = [];
  const layers = new Map<string, StackedLayer>();
  for (const { name, shape } of inputs) {
    if (!name.endsWith(downSuffix)) continue;
    const layer = name.slice(0, -downSuffix.length);
    const up = inputs.find((each) => each.name === `${layer}${upSuffix}`);
    const size = { inputs: Number(shape[2]), outputs: Number(up?.shape[2]) };
    layouts.push({
      name: layer,
      blocks: 1,
      inputs: size.inputs,
      parts: null,
      width: size.outputs,
      ranksFirst: true,
    });
    layers.set(layer, { stack: layer, block: 0, layer: 0, ...size });
  }
  if (layers.size === 0) throw new RuntimeError("the graph takes no adapters");
  const [, rows, columns] = inputs.find(({ name }) => name === shapeTables)?.shape ?? [];
  const table =
    rows === undefined ? null : { name: shapeTables, rows: Number(rows), columns: Number(columns) };
  return new AdapterStacks(layouts, layers, table);
}

/** @throws RuntimeError for a graph that takes none */
function promptsOf({ inputs }: Pick<Session, "inputs">): PromptVectors {
  const found = inputs.find(({ name }) => name === promptVectors);
  if (found === undefined) throw new RuntimeError("the graph takes no soft prompts");
  return new PromptVectors(found.name, Number(found.shape[1]));
}

export class LoraSession implements EncoderSession, Session {
  readonly #session: Session;
  readonly stacks: AdapterStacks;
  readonly prompts: PromptVectors;
  readonly provider;
  readonly concurrency;
  readonly inputs;
  readonly outputs;

  /** @param session of a graph with stacks; released with this */
  constructor(session: Session) {
    const { provider, concurrency, inputs, outputs } = session;
    this.#session = session;
    this.stacks = stacksOf(session);
    this.prompts = promptsOf(session);
    this.provider = provider;
    this.concurrency = concurrency;
    this.inputs = inputs.filter(({ name }) => !isStack(name));
    this.outputs = outputs;
  }

  /** What a group of rows takes for an adapter's part in a layer, the largest. */
  get groupBytes(): number {
    const numbers = Array.from(this.stacks.stacks, (stack) => stack.numbers);
    return Math.max(...numbers) * Float32Array.BYTES_PER_ELEMENT;
  }

  get groupOverheadRows(): number {
    let copied = 0;
    let weights = 0;
    for (const stack of this.stacks.stacks) {
      copied += stack.numbers;
      weights += stack.weights;
    }
    return (rowsPerCopiedNumber * copied) / weights;
  }

  run(feeds: Record<string, Tensor>, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    return this.stacks.run(feeds["lora_slots"], (stacks) =>
      this.#session.run(
        { ...feeds, ...stacks, ...this.#ownColumns(feeds), ...this.prompts.feeds() },
        options,
      ),
    );
  }

  /** Of each stack as it is now; those of one rank have one in common. */
  #ownColumns({ lora_places: places, lora_slots: slots }: Record<string, Tensor>) {
    if (places === undefined) throw new RuntimeError("there is no lora_places");
    const ofRank = new Map<number, Tensor>();
    const feeds: Record<string, Tensor> = {};
    for (const { name, rank } of this.stacks.stacks) {
      const own = ofRank.get(rank) ?? ownColumns(places, slots?.shape[1] ?? 1, rank);
      ofRank.set(rank, own);
      feeds[`${name}${ownSuffix}`] = own;
    }
    return feeds;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
