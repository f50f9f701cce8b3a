/**
 * The session that sums logits in blocks (see model/logit-blocks.ts), over the memory that a decoder's session writes
 * them to: on two threads it takes a fifth of the time that a sampler takes to read a vocabulary on one, while the
 * next step waits.
 */
import { logitBlockNames as names, logitBlockTokens } from "../model/logit-blocks.ts";
import { encodeModel } from "../onnx/encode-model.ts";
import type { Graph } from "../onnx/graph.ts";
import { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import type { LoadedSession, Runtime } from "../runtime/session.ts";

export function buildLogitBlocks(vocabulary: number): Graph {
  const graph = new GraphBuilder("logit-blocks");
  const logits = graph.input(names.logits, "float32", ["rows", vocabulary]);
  const inverse = graph.input(names.inverseTemperatures, "float32", ["rows"]);
  const count = Math.ceil(vocabulary / logitBlockTokens);
  const missing = count * logitBlockTokens - vocabulary;
  const whole = missing === 0 ? logits : fillUp(graph, logits, missing);
  const blocks = whole.reshape([-1, count, logitBlockTokens]);
  const [ofBlocks, ofTokens] = [graph.integers([1]), graph.integers([2])];
  const maxima = blocks.op("ReduceMax", [ofTokens], { keepdims: 0 });
  const highest = maxima.op("ReduceMax", [ofBlocks], { keepdims: 1 }).reshape([-1, 1, 1]);
  const scaled = blocks.sub(highest).mul(inverse.reshape([-1, 1, 1]));
  graph.output(names.maxima, maxima);
  graph.output(names.sums, scaled.op("Exp").op("ReduceSum", [ofTokens], { keepdims: 0 }));
  return graph.build();
}

/** With tokens that cannot come, at the end of each row. */
function fillUp(graph: GraphBuilder, logits: Value, missing: number): Value {
  const impossible = graph.scalar("float32", -Infinity);
  return logits.op("Pad", [graph.integers([0, 0, 0, missing]), impossible]);
}

/** For a decoder on the CPU; null for one elsewhere. */
export async function openLogitBlocks(
  { provider, outputs }: Pick<LoadedSession, "provider" | "outputs">,
  { load, threads }: Pick<Runtime, "load" | "threads">,
): Promise<LoadedSession | null> {
  const vocabulary = Number(outputs.find(({ name }) => name === "logits")?.shape[1]);
  if (provider !== "cpu") return null;
  const bytes = await encodeModel(buildLogitBlocks(vocabulary));
  return load({ bytes }, { threads, provider });
}
