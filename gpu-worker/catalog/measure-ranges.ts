/**
 * What the int8 form of a checkpoint rounds by, learnt by running its f32 form on the accuracy texts as its own tokenizer
 * reads them: some seconds for a large model, when a graph is built, not when it is taken from the cache.
 */
import {
  type ChannelRanges,
  readChannelRanges,
  widestRanges,
} from "../architectures/channel-ranges.ts";
import { buildRangesEncoder } from "../architectures/encoder.ts";
import { encodeModel } from "../onnx/encode-model.ts";
import type { Runtime } from "../runtime/session.ts";
import { loadTokenizer } from "../tokenizer/tokenizer.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { accuracySamples, feedsOf } from "./accuracy-samples.ts";
import type { Checkpoint } from "./checkpoint.ts";

export type MeasureTools = { runtime: Runtime; threads: number; signal: AbortSignal };

/** @throws RuntimeError; WeightError or ConfigError as `buildEncoder`; the signal's reason */
export async function measureRanges(
  { config, folder, head, sentence, limits }: Checkpoint,
  weights: WeightSource,
  { runtime, threads, signal }: MeasureTools,
): Promise<ChannelRanges> {
  const compared = { head, isSentence: sentence !== null, maxTokens: limits.maxTokens };
  const samples = await accuracySamples(await loadTokenizer(folder), compared);
  const bytes = encodeModel(buildRangesEncoder(config, weights));
  const session = await runtime.load({ bytes }, { threads, provider: "cpu", signal });
  try {
    const ranges: ChannelRanges[] = [];
    // One by one: padding would be measured with the tokens.
    for (const sample of samples) {
      ranges.push(await session.run(feedsOf(session, sample), { signal }).then(readChannelRanges));
    }
    return widestRanges(ranges);
  } finally {
    await session.release();
  }
}
