/** How a sentence encoder is asked for its vectors, and how they are compared. */
import type { PlainPooling } from "./pooling.ts";

export const similarities = ["cosine", "dot", "euclidean", "manhattan"] as const;
export type Similarity = (typeof similarities)[number];

export type SentenceVectors = {
  /** What `pooled` is of the token vectors; null: something else than these. */
  readonly pooling: PlainPooling | null;
  /** Whether `sentence_embedding` has length 1. */
  readonly normalize: boolean;
  /** Texts to put before an input, by name. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The name of the prompt of who asks for none. Absent or null: none. */
  readonly defaultPrompt?: string | null;
  /** False: a prompt's tokens are left out of the vector. Absent: they are not. */
  readonly includePrompt?: boolean;
  /** How the model's own vectors are compared. Absent: by cosine. */
  readonly similarity?: Similarity;
};
