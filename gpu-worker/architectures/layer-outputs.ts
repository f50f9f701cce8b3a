/**
 * What the embeddings and each layer of a graph give, by name: where activation checkpointing
 * (autodiff/recomputation.ts) keeps what was computed, to compute the rest of a layer again.
 */
import type { Graph } from "../onnx/graph.ts";

/** The scopes that transformer.ts and training-decoder.ts build layers in. */
const layerScope = /^(?:embeddings|(?:encoder\.layer|layers)\.\d+)\//;

/** In order. */
export function layerOutputs({ nodes }: Graph): string[] {
  const last = new Map<string, string>();
  for (const { name, outputs } of nodes) {
    const [scope] = layerScope.exec(name) ?? [];
    if (scope !== undefined) last.set(scope, outputs[0] ?? "");
  }
  return [...last.values()];
}
