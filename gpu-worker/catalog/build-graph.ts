/** From a checkpoint's weights to the files of its graph. */
import type { Head } from "../architectures/encoder-head.ts";
import { buildWholeEncoder } from "../architectures/encoder.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Form } from "./form-choice.ts";
import { measureRanges, type MeasureTools } from "./measure-ranges.ts";

/** Grows whenever the same files give another graph: older compiled graphs and cached results are then left behind. */
export const builderVersion = 6;

function graphHeadOf({ head, sentence }: Checkpoint): Head {
  if (sentence !== null) {
    const { pooling, normalize } = sentence;
    return { name: "sentence", pooling, normalize };
  }
  if (head.name === "masked-lm") return { name: head.name, at: "positions" };
  return "labels" in head ? { name: head.name, labels: head.labels.length } : { name: head.name };
}

/**
 * Writes the graph to `file`, large constants beside it.
 * @throws WeightError or ConfigError for a checkpoint that is not what its configuration says; the signal's reason
 */
export async function buildGraph(
  checkpoint: Checkpoint,
  { form, saturates }: Form,
  { file, ...tools }: MeasureTools & { file: string },
): Promise<void> {
  const { config, weightsFile } = checkpoint;
  const weights = openSafetensors(weightsFile);
  try {
    const head = graphHeadOf(checkpoint);
    const ranges = form === "int8" ? await measureRanges(checkpoint, weights, tools) : null;
    const graph = buildWholeEncoder(config, weights, {
      head,
      form,
      packed: true,
      saturates,
      ranges,
    });
    await writeModel(graph, file, tools.signal);
  } finally {
    weights.close();
  }
}
