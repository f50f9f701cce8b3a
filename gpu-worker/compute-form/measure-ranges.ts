/**
 * What the int8 form of a checkpoint rounds by, learnt by running its f32 form on the accuracy texts as its own
 * tokenizer reads them: some seconds for a large model, when a graph is built, not when it is taken from the cache.
 */
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import {
  type ChannelRanges,
  readChannelRanges,
  widestRanges,
} from "../architectures/channel-ranges.ts";
import { buildRangesEncoder } from "../architectures/encoder.ts";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { inThread } from "../event-loop/in-thread.ts";
import { prepareRows } from "../model/run-rows.ts";
import { writeModel } from "../onnx/write-model.ts";
import type { Runtime } from "../runtime/session.ts";
import { shareThreads } from "../runtime/share-threads.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import { accuracySamples } from "./accuracy-samples.ts";

export type MeasureTools = { runtime: Runtime; signal: AbortSignal };

/**
 * @param folder is made for the graph that measures, and taken away again
 * @throws RuntimeError; Error for a checkpoint that is not what its configuration says; the signal's reason
 */
export async function measureRanges(
  checkpoint: Checkpoint,
  { runtime, signal, folder }: MeasureTools & { folder: string },
): Promise<ChannelRanges> {
  const { head, sentence, limits } = checkpoint;
  const compared = { head, isSentence: sentence !== null, maxTokens: limits.maxTokens };
  const samples = await accuracySamples(
    await loadTokenizer(checkpoint.folder, checkpoint),
    compared,
  );
  const file = path.join(folder, "model.onnx");
  await mkdir(folder);
  try {
    await inThread(import.meta.url, writeRangesGraph, [checkpoint, file], {
      signal,
      bytes: checkpoint.sizeBytes,
    });
    const { concurrency } = shareThreads(runtime.threads);
    const using = { threads: "shared", concurrency, provider: "cpu", signal } as const;
    const session = await runtime.load({ path: file }, using);
    try {
      // Each by itself: padding would be measured with the tokens.
      const measured = samples.map((sample) =>
        session.run(prepareRows([sample], { session }).feeds, { signal }),
      );
      return widestRanges((await Promise.all(measured)).map(readChannelRanges));
    } finally {
      await session.release();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** On the calling thread. @throws WeightError or ConfigError as `buildEncoder` */
export async function writeRangesGraph(
  { config, weightsFile }: Pick<Checkpoint, "config" | "weightsFile">,
  file: string,
): Promise<void> {
  const weights = openSafetensors(weightsFile);
  try {
    await writeModel(buildRangesEncoder(config, weights), file);
  } finally {
    weights.close();
  }
}
