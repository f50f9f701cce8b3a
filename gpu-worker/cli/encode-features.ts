/**
 * What a head reads of texts: the pooled, unscaled vectors of a base of the catalog, in the form asked for. Texts that
 * are too long are cut, as they are when the head is served with `truncate`.
 */
import type { LoadedEncoder } from "../catalog/loaded-model.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { openCatalog } from "../catalog/open-catalog.ts";
import { cpuBatchPolicy, TaskRunner } from "../jobs/task-runner.ts";
import { encoderFor } from "../model/served-model.ts";
import { featureExtraction } from "../pipelines/feature-extraction.ts";
import type { Runtime } from "../runtime/session.ts";

export type FeatureTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  base: string;
  signal: AbortSignal;
};

export type BaseVectors = Pick<LoadedEncoder, "limits" | "sentence"> & {
  /** f32 [texts, width]. */
  features: Float32Array;
  width: number;
};

/** Requests on their way at once hold so many texts each, so that a batch finds texts of like lengths. */
const textsPerRequest = 128;
const requestsAtOnce = 4;

/** @param onProgress texts done */
export async function encodeFeatures(
  texts: readonly string[],
  { settings, runtime, base, signal }: FeatureTools,
  onProgress: (done: number) => void,
): Promise<BaseVectors> {
  const log = { info: () => undefined, warn: () => undefined };
  const catalog = await openCatalog(settings, { runtime, log, now: Date.now });
  try {
    const { model: leased, release } = await catalog.lease(base, signal);
    const model = encoderFor("feature-extraction", leased);
    if (model.sentence === null) throw new Error(`${base} makes no sentence vectors`);
    if (model.sentence.pooling === null) {
      throw new Error(`the vectors of ${base} are no plain pooling of its token vectors`);
    }
    // A head reads texts as they are: the base's own prompts are not its own.
    const bare = { ...model, sentence: { ...model.sentence, defaultPrompt: null } };
    const vectors = await encodeAll(texts, { model: bare, signal }, onProgress);
    const { limits, sentence } = model;
    release();
    return { limits, sentence, features: vectors, width: vectors.length / texts.length };
  } finally {
    await catalog.close();
  }
}

async function encodeAll(
  texts: readonly string[],
  { model, signal }: { model: LoadedEncoder; signal: AbortSignal },
  onProgress: (done: number) => void,
): Promise<Float32Array> {
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => performance.now() });
  const parts: Uint8Array[] = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    while (next * textsPerRequest < texts.length) {
      const at = next++;
      const inputs = texts.slice(at * textsPerRequest, (at + 1) * textsPerRequest);
      const parameters = { normalize: false, truncate: true };
      const request = { task: "feature-extraction", inputs, parameters } as const;
      const { outputs } = await runner.run(featureExtraction, request, model, { signal });
      const vectors = outputs.filter((output) => typeof output === "string");
      parts[at] = Buffer.concat(vectors.map((output) => Buffer.from(output, "base64")));
      onProgress((done += inputs.length));
    }
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, work));
  const bytes = new Uint8Array(Buffer.concat(parts));
  return new Float32Array(bytes.buffer);
}
