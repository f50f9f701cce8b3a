/**
 * Layers of LoRA on a decoder, or a soft prompt, in a folder of their own, as Hugging Face's PEFT library writes and
 * reads them; beside it `llm-os.json`, which says what PEFT has no field for.
 */
import { writeAdapterFiles } from "./adapter-folder.ts";
import type { TrainedLora } from "./adapter-folder.ts";
import { causalLanguageModel, type DecoderAdapter } from "./decoder-adapter.ts";
import { promptConfig, type TrainedPrompt } from "./soft-prompt-config.ts";

export type TunedDecoder = Pick<DecoderAdapter, "baseName" | "licence"> & {
  /** What it was tuned for. */
  readonly task: "chat-completion" | "text-generation";
  /** Tokens of prompt and answer together. */
  readonly maxLength: number;
  /** sha256 of the base's upstream weights file. */
  readonly baseDigest: string;
};

function loraConfig({ rank, alpha, targets }: TrainedLora) {
  return {
    peft_type: "LORA",
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    target_modules: targets,
  };
}

function configOf({ baseName }: TunedDecoder, trained: TrainedLora | TrainedPrompt) {
  return {
    ...("rank" in trained ? loraConfig(trained) : promptConfig(trained)),
    task_type: causalLanguageModel,
    base_model_name_or_path: baseName,
    inference_mode: true,
  };
}

/** @param card README.md */
export async function writeDecoderAdapter(
  folder: string,
  adapter: TunedDecoder,
  { trained, card }: { readonly trained: TrainedLora | TrainedPrompt; readonly card: string },
): Promise<void> {
  const { task, maxLength, baseDigest, licence } = adapter;
  await writeAdapterFiles(folder, {
    tensors: trained.tensors,
    card,
    own: {
      formatVersion: 1,
      task,
      max_length: maxLength,
      base_digest: baseDigest,
      ...(licence !== null && { licence }),
    },
    config: configOf(adapter, trained),
  });
}
