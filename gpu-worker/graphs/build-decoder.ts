/** From a decoder's weights to the files of its graph, on a thread of its own. */
import { buildDecoder } from "../architectures/decoder.ts";
import type { DecoderCheckpoint } from "../checkpoints/decoder-checkpoint.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import type { DecoderForm } from "../architectures/decoder-form.ts";
import type { LayerReach } from "../architectures/kept-reach.ts";
import { inThread } from "../event-loop/in-thread.ts";
import { writeModel } from "../onnx/write-model.ts";

type BuildOptions = {
  readonly file: string;
  /** See `DecoderOptions`. */
  readonly saturates: boolean;
  /** With stacks of adapters; otherwise with places for soft prompts. */
  readonly lora?: boolean;
  /** For steps that are captured: of nothing but what runs of new tokens need. */
  readonly steps?: boolean;
  /** Keys and values are kept in int8, up to it. Null, absent: as the form computes them. */
  readonly reach?: readonly LayerReach[] | null;
};

/**
 * Writes the graph to `file`, large constants beside it.
 * @throws Error for a checkpoint that is not what its configuration says; the signal's reason
 */
export async function buildDecoderGraph(
  checkpoint: DecoderCheckpoint,
  form: DecoderForm,
  { signal, ...options }: BuildOptions & { signal: AbortSignal },
): Promise<void> {
  await inThread(import.meta.url, writeDecoderGraph, [checkpoint, { form, ...options }], {
    signal,
    bytes: checkpoint.sizeBytes,
  });
}

/** On the calling thread. @throws WeightError or ConfigError */
export async function writeDecoderGraph(
  checkpoint: DecoderCheckpoint,
  {
    form,
    file,
    saturates,
    lora = false,
    steps = false,
    reach = null,
  }: BuildOptions & { form: DecoderForm },
): Promise<void> {
  const { config, weights } = openDecoderWeights(checkpoint);
  try {
    const positions = checkpoint.limits.maxTokens;
    const kinds = { lora, prompts: !lora && !steps, mixed: !steps };
    const options = { positions, form, saturates, ...kinds, ...(reach && { reach }) };
    await writeModel(buildDecoder(config, weights, options), file);
  } finally {
    weights.close();
  }
}
