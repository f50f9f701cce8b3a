/** The table of pipelines. A task added to the contract does not compile until it has a row here. */
import type { Task } from "#contract/tasks.ts";
import { featureExtraction } from "./feature-extraction.ts";
import { noop } from "./noop.ts";
import type { Pipeline } from "./pipeline.ts";
import { sentenceSimilarity } from "./sentence-similarity.ts";

export const pipelines: { readonly [T in Task]: Pipeline<T> } = {
  noop,
  "feature-extraction": featureExtraction,
  "sentence-similarity": sentenceSimilarity,
};
