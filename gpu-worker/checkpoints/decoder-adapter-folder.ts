/**
 * Layers of LoRA on a decoder in a folder of their own, as Hugging Face's PEFT library writes and reads them; beside it
 * `llm-os.json`, which says what PEFT has no field for.
 */
import { writeAdapterFiles } from "./adapter-folder.ts";
import type { TrainedLora } from "./adapter-folder.ts";

export type DecoderAdapter = {
  /** What it was tuned for. */
  readonly task: "chat-completion" | "text-generation";
  /** Tokens of prompt and answer together. */
  readonly maxLength: number;
  /** sha256 of the base's upstream weights file. */
  readonly baseDigest: string;
  /** Id or hub name of the base. */
  readonly baseName: string;
  readonly licence: string | null;
};

function configOf({ baseName }: DecoderAdapter, { rank, alpha, targets }: TrainedLora) {
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseName,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: targets,
    inference_mode: true,
  };
}

/** @param card README.md */
export async function writeDecoderAdapter(
  folder: string,
  adapter: DecoderAdapter,
  { lora, card }: { readonly lora: TrainedLora; readonly card: string },
): Promise<void> {
  const { task, maxLength, baseDigest, licence } = adapter;
  await writeAdapterFiles(folder, {
    tensors: lora.tensors,
    card,
    own: {
      formatVersion: 1,
      task,
      max_length: maxLength,
      base_digest: baseDigest,
      ...(licence !== null && { licence }),
    },
    config: configOf(adapter, lora),
  });
}
