/** A decoder's graph with stacks of adapters of low rank (architectures/lora-products.ts), and what is in them. */
import { projectionsOf } from "../architectures/decoder-projections.ts";
import { decoderOf } from "../architectures/decoder.ts";
import { sizeOf } from "../architectures/feature-heads.ts";
import { loraPartsOf } from "../architectures/lora-products.ts";
import type { Binding, BoundSession } from "../runtime/bound-session.ts";
import type { LoadedSession, RunOptions } from "../runtime/session.ts";
import { int64, type Tensor } from "../tensor/tensor.ts";
import { AdapterStacks, type StackedLayer } from "./adapter-stacks.ts";
import { isStack } from "./lora-session.ts";
import type { StackLayout } from "./lora-stack.ts";

/** A stack for each kind of projection. @throws ConfigError */
function stacksOf(config: unknown): AdapterStacks {
  const architecture = decoderOf(config);
  const blocks = architecture.layers.length;
  const layouts: StackLayout[] = Object.values(projectionsOf(architecture, 0)).map((projection) => {
    const { width, layers } = loraPartsOf(projection);
    const parts = layers.length === 1 ? null : layers;
    return { name: projection.kind, blocks, inputs: sizeOf(projection.inputs), parts, width };
  });
  const layers = new Map<string, StackedLayer>();
  for (const block of architecture.layers.keys()) {
    for (const { kind, inputs, layers: own } of Object.values(projectionsOf(architecture, block))) {
      for (const [layer, { name, outputs }] of own.entries()) {
        layers.set(name, { stack: kind, block, layer, inputs, outputs });
      }
    }
  }
  return new AdapterStacks(layouts, layers);
}

/** `lora_slots` of a run names adapters as the session counts them; absent: its texts have none. */
export class DecoderLoraSession implements LoadedSession {
  readonly #session: LoadedSession;
  readonly stacks: AdapterStacks;
  readonly provider;
  readonly concurrency;
  readonly inputs;
  readonly outputs;

  /**
   * @param session of a graph with stacks; released with this
   * @param config of the checkpoint that it was built of
   */
  constructor(session: LoadedSession, config: unknown) {
    const { provider, concurrency, inputs, outputs } = session;
    this.#session = session;
    this.stacks = stacksOf(config);
    this.provider = provider;
    this.concurrency = concurrency;
    this.inputs = inputs.filter(({ name }) => !isStack(name));
    this.outputs = outputs;
  }

  run(feeds: Record<string, Tensor>, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    return this.#withStacks(feeds, (all) => this.#session.run(all, options));
  }

  bind(binding: Binding): BoundSession {
    const bound = this.#session.bind(binding);
    return {
      run: (feeds, options) => this.#withStacks(feeds, (all) => bound.run(all, options)),
      release: () => bound.release(),
    };
  }

  allocate(...value: Parameters<LoadedSession["allocate"]>): ReturnType<LoadedSession["allocate"]> {
    return this.#session.allocate(...value);
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  #withStacks<T>(
    feeds: Record<string, Tensor>,
    run: (all: Record<string, Tensor>) => Promise<T>,
  ): Promise<T> {
    const texts = feeds["input_ids"]?.shape[0] ?? 0;
    const adapters =
      feeds["lora_slots"] ??
      int64(
        [texts],
        Array.from({ length: texts }, () => 0),
      );
    return this.stacks.run(adapters, (stacks) => run({ ...feeds, ...stacks }));
  }
}
