/**
 * What the int8 form of a checkpoint rounds by, learnt by running its f32 form once on made-up tokens: under a second,
 * when a graph is built, not when it is taken from the cache.
 */
import {
  type ChannelRanges,
  madeUpInputs,
  readChannelRanges,
} from "../architectures/channel-ranges.ts";
import { buildRangesEncoder } from "../architectures/encoder.ts";
import { encodeModel } from "../onnx/encode-model.ts";
import type { Runtime } from "../runtime/session.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import type { Checkpoint } from "./checkpoint.ts";

export type MeasureTools = { runtime: Runtime; signal: AbortSignal };

/** @throws RuntimeError; WeightError or ConfigError as `buildEncoder`; the signal's reason */
export async function measureRanges(
  { config, limits }: Checkpoint,
  weights: WeightSource,
  { runtime, signal }: MeasureTools,
): Promise<ChannelRanges> {
  const bytes = encodeModel(buildRangesEncoder(config, weights));
  const session = await runtime.load({ bytes }, { threads: "shared", provider: "cpu", signal });
  try {
    const inputs = madeUpInputs(session.inputs, limits.vocabularySize, limits.maxTokens);
    return readChannelRanges(await session.run(inputs, { signal }));
  } finally {
    await session.release();
  }
}
