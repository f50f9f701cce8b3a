/** A graph of the cache, built first where it is not there, and again where it turns out to be of no use. */
import type { GraphCache } from "../graphs/graph-cache.ts";
import type { Watch } from "./load-step.ts";

export type GraphTools = {
  graphs: GraphCache;
  log: { warn: (fields: object, message: string) => void };
};

export type GraphOpening<Opened> = {
  tools: GraphTools;
  watch: Watch;
  /** Writes the graph to the file. */
  build(file: string): Promise<void>;
  open(file: string): Promise<Opened>;
};

/** @throws Error that says what is wrong with the model; the signal's reason */
export async function openCachedGraph<Opened>(
  key: string,
  { tools: { graphs, log }, watch: { onStep, signal }, build, open }: GraphOpening<Opened>,
): Promise<Opened> {
  const compile = async (file: string) => {
    onStep({ doing: "loading", words: "Compiling for this machine", progress: 0 });
    await build(file);
    onStep({ doing: "loading", words: "Loading", progress: 0.5 });
  };
  const cached = await graphs.get(key, compile, signal);
  try {
    return await open(cached.file);
  } catch (error) {
    signal.throwIfAborted();
    if (cached.built) throw error;
    log.warn({ error, key }, "a compiled graph could not be used and is built again");
    await graphs.discard(key);
    const { file } = await graphs.get(key, compile, signal);
    return open(file);
  }
}
