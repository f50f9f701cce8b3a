/** What a head reads of texts: the pooled, unscaled vectors of a frozen base, in the form asked for. */
import { mkdtemp, rm } from "node:fs/promises";
import path from "node:path";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { sentenceVectors } from "../checkpoints/sentence-stages.ts";
import type { Form } from "../compute-form/form-choice.ts";
import { buildGraph } from "../graphs/build-graph.ts";
import { openSession } from "../graphs/open-session.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { PlainPooling } from "../model/pooling.ts";
import type { Runtime, Session } from "../runtime/session.ts";
import type { TokenRow } from "./encode-texts.ts";
import { runInBatches } from "./run-in-batches.ts";
import { TuningError } from "./tuning-error.ts";

export type FrozenBase = { readonly id: string; readonly checkpoint: Checkpoint };

export type FeatureTools = {
  readonly form: Form;
  readonly runtime: Runtime;
  /** An existing folder, for the graph's files while it is open. */
  readonly folder: string;
  readonly signal: AbortSignal;
};

export type BaseVectors = {
  /** f32 [rows, width]. */
  readonly features: Float32Array;
  readonly width: number;
  readonly pooling: PlainPooling;
};

/** @throws TuningError for a base that makes no plain vectors */
function poolingOf({ id, checkpoint }: FrozenBase): PlainPooling {
  const { sentence } = checkpoint;
  if (sentence === null) throw new TuningError(`${id} makes no sentence vectors`);
  const { pooling } = sentenceVectors(sentence);
  if (pooling !== null) return pooling;
  throw new TuningError(`the vectors of ${id} are no plain pooling of its token vectors`);
}

/**
 * @param onProgress rows done
 * @throws TuningError for a base that makes no such vectors; the signal's reason
 */
export async function encodeFeatures(
  rows: readonly TokenRow[],
  base: FrozenBase,
  { form, runtime, folder, signal }: FeatureTools,
  onProgress: (done: number) => void,
): Promise<BaseVectors> {
  const pooling = poolingOf(base);
  const { checkpoint } = base;
  const { format, weightsFile } = checkpoint;
  const work = await mkdtemp(path.join(folder, "features-"));
  try {
    const built = path.join(work, "frozen.onnx");
    if (format === "safetensors") {
      await buildGraph(checkpoint, form, { file: built, runtime, signal });
    }
    const session = await openSession(format === "onnx" ? weightsFile : built, checkpoint, {
      runtime,
      provider: "cpu",
      deviceMemoryBytes: null,
      signal,
    });
    try {
      const asked = rows.map((row) => ({ ...row, outputs: ["pooled" as const] }));
      const vectors = await vectorsOf(asked, { session, signal, onProgress });
      return { ...vectors, pooling };
    } finally {
      await session.release();
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function vectorsOf(
  rows: readonly EncoderRow[],
  { session, signal, onProgress }: Running,
): Promise<Pick<BaseVectors, "features" | "width">> {
  const vectors: Float32Array[] = [];
  let done = 0;
  await runInBatches(rows, { session }, signal, ({ pooled }, at) => {
    if (pooled !== undefined) vectors[at] = pooled;
    onProgress((done += 1));
  });
  const width = vectors[0]?.length ?? 0;
  const features = new Float32Array(rows.length * width);
  for (const [at, vector] of vectors.entries()) features.set(vector, at * width);
  return { features, width };
}

type Running = {
  readonly session: Session;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number) => void;
};
