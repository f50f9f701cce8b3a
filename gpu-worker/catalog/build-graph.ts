/** From a checkpoint's weights to the files of its graph. */
import { buildEncoder } from "../architectures/encoder.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Form } from "./form-choice.ts";

/** Grows whenever the same files give another graph: older compiled graphs and cached results are then left behind. */
export const builderVersion = 1;

/**
 * Writes the graph to `file`, large constants beside it.
 * @throws WeightError or ConfigError for a checkpoint that is not what its configuration says; the signal's reason
 */
export async function buildGraph(
  { config, weightsFile, sentence }: Checkpoint,
  { form, saturates }: Form,
  { file, signal }: { file: string; signal: AbortSignal },
): Promise<void> {
  const weights = openSafetensors(weightsFile);
  try {
    const { pooling, normalize } = sentence;
    const head = { name: "sentence" as const, pooling, normalize };
    const graph = buildEncoder(config, weights, { head, form, saturates });
    await writeModel(graph, file, signal);
  } finally {
    weights.close();
  }
}
