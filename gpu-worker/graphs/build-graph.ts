/**
 * From a checkpoint's weights to the files of its graph, on a thread of its own: reading, rearranging and rounding a
 * hundred million weights takes seconds.
 */
import type { ChannelRanges } from "../architectures/channel-ranges.ts";
import type { Head } from "../architectures/encoder-head.ts";
import { buildWholeEncoder } from "../architectures/encoder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { Form } from "../compute-form/form-choice.ts";
import { measureRanges, type MeasureTools } from "../compute-form/measure-ranges.ts";
import { inThread } from "../event-loop/in-thread.ts";
import { writeModel } from "../onnx/write-model.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { sentenceHeadOf } from "./sentence-head-of.ts";

function graphHeadOf({ folder, head, sentence }: Checkpoint): Head {
  if (sentence !== null) return sentenceHeadOf(folder, sentence);
  if (head.name === "masked-lm") return { name: head.name, at: "positions" };
  return "labels" in head ? { name: head.name, labels: head.labels.length } : { name: head.name };
}

/** `lora`: with stacks of adapters. */
type BuildOptions = MeasureTools & { file: string; lora?: boolean };

/**
 * Writes the graph to `file`, large constants beside it.
 * @throws Error for a checkpoint that is not what its configuration says; the signal's reason
 */
export async function buildGraph(
  checkpoint: Checkpoint,
  form: Form,
  { file, lora = false, ...tools }: BuildOptions,
): Promise<void> {
  const scratch = `${file}.ranges`;
  const ranges =
    form.form === "int8" ? await measureRanges(checkpoint, { ...tools, folder: scratch }) : null;
  const { signal } = tools;
  await inThread(import.meta.url, writeGraph, [checkpoint, { ...form, ranges, lora }, file], {
    signal,
    bytes: checkpoint.sizeBytes,
  });
}

/** On the calling thread. @throws WeightError or ConfigError */
export async function writeGraph(
  checkpoint: Checkpoint,
  { form, saturates, ranges, lora }: Form & { ranges: ChannelRanges | null; lora: boolean },
  file: string,
): Promise<void> {
  const { config, weightsFile } = checkpoint;
  const weights = openSafetensors(weightsFile);
  try {
    const head = graphHeadOf(checkpoint);
    const graph = buildWholeEncoder(config, weights, {
      head,
      form,
      packed: true,
      saturates,
      ranges,
      lora,
    });
    await writeModel(graph, file);
  } finally {
    weights.close();
  }
}
