/**
 * The first stage of a sentence-transformers model, the encoder itself: what its settings change. A setting that would
 * have it compute something else than we do is refused by name.
 */
import { readJson } from "../files/json-file.ts";
import { EncoderFile, encoderFileNames } from "./sentence-files.ts";

export type EncoderStage = {
  /** Longest input in tokens by its own settings, which count instead of the tokenizer's; null where they set none. */
  maxTokens: number | null;
  /** Whether texts are put into lower case before the tokenizer's own normaliser. */
  lowerCase: boolean;
};

/** What an encoder gives the stages after it, by what is made of it. */
const given = {
  sentence: {
    task: "feature-extraction",
    method: "forward",
    from: "last_hidden_state",
    as: "token_embeddings",
  },
  "cross-encoder": {
    task: "sequence-classification",
    method: "forward",
    from: "logits",
    as: "scores",
  },
} as const;

/** Settings of how weights are held, which change no answer beyond rounding. */
const harmless: ReadonlySet<string> = new Set([
  "add_pooling_layer",
  "attn_implementation",
  "dtype",
  "torch_dtype",
  "trust_remote_code",
]);

const settings = [
  "processing_kwargs",
  "model_args",
  "model_kwargs",
  "tokenizer_args",
  "processor_kwargs",
  "config_args",
  "config_kwargs",
] as const;

const ofTokenVectors = ["query_length", "document_length", "query_expansion"] as const;

function checkSettings(file: EncoderFile, name: string): void {
  for (const group of settings) {
    const set = Object.entries(file[group] ?? {}).filter(([key]) => !harmless.has(key));
    if (set.length === 0) continue;
    const keys = set.map(([key]) => key).join(", ");
    throw new Error(`${name}: ${group} sets ${keys}, which is not served`);
  }
  const set = ofTokenVectors.find((key) => file[key] !== undefined && file[key] !== null);
  if (set === undefined) return;
  throw new Error(
    `${name}: ${set} is of models that keep a vector per token, which are not served`,
  );
}

function checkOutput(file: EncoderFile, name: string, kind: keyof typeof given): void {
  const wanted = given[kind];
  const text = file.modality_config?.["text"];
  if (file.modality_config && text === undefined) {
    throw new Error(`${name}: modality_config has no text, and only texts are served`);
  }
  const found = [
    ["transformer_task", file.transformer_task, wanted.task],
    ["modality_config.text.method", text?.method, wanted.method],
    ["modality_config.text.method_output_name", text?.method_output_name, wanted.from],
    ["module_output_name", file.module_output_name, wanted.as],
  ] as const;
  for (const [field, value, only] of found) {
    const words = [value ?? only].flat().join(".");
    if (words === only) continue;
    throw new Error(`${name}: ${field} is ${words}, but of a ${kind} only ${only} is served`);
  }
}

/**
 * @param kind what is made of the encoder
 * @throws Error that names the setting that is not served
 */
export async function readEncoderStage(
  folder: string,
  kind: keyof typeof given,
): Promise<EncoderStage> {
  for (const name of encoderFileNames) {
    const file = await readJson(folder, name, EncoderFile);
    if (file === null) continue;
    checkSettings(file, name);
    checkOutput(file, name, kind);
    return { maxTokens: file.max_seq_length ?? null, lowerCase: file.do_lower_case ?? false };
  }
  return { maxTokens: null, lowerCase: false };
}
