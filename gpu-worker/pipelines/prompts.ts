/**
 * Which of a sentence encoder's own prompts is put before a text, by what the text is for. Queries and documents get
 * those that sentence-transformers' `encode_query` and `encode_document` look for; texts that are compared with each
 * other, or classified, those named as MTEB names such tasks, else the one that `encode` uses by default.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";

const names = {
  query: ["query"],
  /** In the order in which `encode_document` looks for them. */
  document: ["document", "passage", "corpus"],
  similarity: ["sts", "similarity"],
  classification: ["classification"],
} as const;

function find({ sentence }: EncoderModel, wanted: readonly string[]): string {
  const prompts = Object.entries(sentence?.prompts ?? {});
  const found = wanted.map((name) => prompts.find(([key]) => key.toLowerCase() === name)?.[1]);
  // sentence-transformers saves a query and a document of no text for models that were given none.
  return found.find((prompt) => prompt !== undefined && prompt !== "") ?? "";
}

function defaultOf({ sentence }: EncoderModel): string {
  return sentence?.prompts[sentence.defaultPrompt ?? ""] ?? "";
}

/** The prompt of a search's query or document. As in `encode_query` and `encode_document`, there is no default. */
export function searchPrompt(model: EncoderModel, of: "query" | "document"): string {
  return find(model, names[of]);
}

/** The prompt of a text that is compared with others or classified. */
export function taskPrompt(model: EncoderModel, of: "similarity" | "classification"): string {
  return find(model, names[of]) || defaultOf(model);
}

/** The prompt of that name, or the model's default. @throws CodedError invalid_value for a name that the model lacks */
export function namedPrompt(model: EncoderModel, name: string | undefined): string {
  if (name === undefined) return defaultOf(model);
  const prompts = model.sentence?.prompts ?? {};
  const prompt = Object.entries(prompts).find(([key]) => key === name)?.[1];
  if (prompt !== undefined) return prompt;
  const known = Object.keys(prompts);
  throw new CodedError(
    "invalid_value",
    `${model.id} has no prompt ${JSON.stringify(name)}; ` +
      (known.length === 0 ? "it has none at all" : `it has ${known.join(", ")}`),
    { param: "prompt_name" },
  );
}
