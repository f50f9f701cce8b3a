/** From a checkpoint's weights to the files of its graph. */
import type { Head } from "../architectures/encoder-head.ts";
import { buildEncoder } from "../architectures/encoder.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Form } from "./form-choice.ts";
import { measureRanges, type MeasureTools } from "./measure-ranges.ts";
import { sentenceHeadOf } from "./sentence-head-of.ts";

/** Grows whenever the same files give another graph: older compiled graphs and cached results are then left behind. */
export const builderVersion = 6;

function graphHeadOf({ folder, head, sentence }: Checkpoint): Head {
  if (sentence !== null) return sentenceHeadOf(folder, sentence);
  return head.name === "masked-lm" ? { name: head.name, at: "positions" } : { name: head.name };
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
    const graph = buildEncoder(config, weights, { head, form, packed: true, saturates, ranges });
    await writeModel(graph, file, tools.signal);
  } finally {
    weights.close();
  }
}
