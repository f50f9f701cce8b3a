/**
 * A tuned decoder in a folder as PEFT saves one for causal LM: layers of LoRA alone (lora-config.ts), or a soft prompt
 * (soft-prompt-config.ts). `llm-os.json` beside it may say what PEFT has no field for. Its tokenizer is the base's, and
 * so is its chat template unless one was saved beside it, as trainers do.
 */
import * as z from "zod";
import { Sha256 } from "../files/file-digest.ts";
import { readJson } from "../files/json-file.ts";
import type { ChatTemplate } from "../model/decoder-model.ts";
import { findChatTemplate } from "../tokenizer/chat-template-file.ts";
import { readTokenizerConfig } from "../tokenizer/tokenizer-config.ts";
import { AdapterId, adapterFiles, readAdapterWeights } from "./adapter-files.ts";
import { checkLoraConfig, type LoraFields, type LoraLayer, readLoraLayers } from "./lora-config.ts";
import {
  promptTuning,
  readSoftPrompt,
  type SoftPrompt,
  type SoftPromptFields,
} from "./soft-prompt-config.ts";

export type DecoderAdapter = {
  readonly kind: "decoder";
  /** What llm-os.json says; null: its folder's name. */
  readonly id: string | null;
  /** sha256 of the base's upstream weights file; null: its name has to do. */
  readonly baseDigest: string | null;
  /** Id or hub name of the base. */
  readonly baseName: string;
  readonly licence: string | null;
  /** Null: its base's. */
  readonly chatTemplate: ChatTemplate | null;
  /** What it changes of its base: at least one layer, or none with a soft prompt. */
  readonly lora: readonly LoraLayer[];
  /** What its texts begin with; null: nothing. */
  readonly softPrompt: SoftPrompt | null;
};

/** What PEFT calls the task. */
export const causalLanguageModel = "CAUSAL_LM";

const OwnFile = z.looseObject({
  formatVersion: z.literal(1),
  id: AdapterId.nullish(),
  base_digest: Sha256.nullish(),
  licence: z.string().min(1).max(100).nullish(),
});

type ConfigFile = LoraFields &
  SoftPromptFields & {
    readonly peft_type: string;
    readonly base_model_name_or_path: string;
    readonly modules_to_save?: readonly string[] | null | undefined;
  };

function checkConfig(config: ConfigFile): void {
  const { peft_type: kind, modules_to_save: modules } = config;
  if (kind !== "LORA" && kind !== promptTuning) {
    throw new Error(
      `${adapterFiles.config}: peft_type ${kind} is not served: only LORA and ${promptTuning} are`,
    );
  }
  if (kind === "LORA") checkLoraConfig({ ...config }, adapterFiles.config);
  if (!modules?.length) return;
  const named = JSON.stringify(modules);
  const served = kind === "LORA" ? "only layers of LoRA are" : "only a soft prompt is";
  throw new Error(`${adapterFiles.config}: modules_to_save ${named} is not served: ${served}`);
}

function readChange(
  folder: string,
  config: ConfigFile,
): Pick<DecoderAdapter, "lora" | "softPrompt"> {
  return readAdapterWeights(folder, (source) => {
    if (config.peft_type === promptTuning) {
      return {
        lora: [],
        softPrompt: readSoftPrompt(source, source.names(), config, adapterFiles.config),
      };
    }
    const lora = readLoraLayers(source, source.names(), config, "layers of LoRA are");
    if (lora.length === 0) throw new Error(`${adapterFiles.weights} holds no layers of LoRA`);
    return { lora, softPrompt: null };
  });
}

/** Empty: not said there. */
async function namedTokens(folder: string) {
  const { special } = await readTokenizerConfig(folder);
  return {
    bosToken: special.bos_token?.content ?? "",
    eosToken: special.eos_token?.content ?? "",
  };
}

/**
 * @param config adapter_config.json
 * @throws Error whose message completes "the folder cannot be served: …"
 */
export async function readDecoderAdapter(
  folder: string,
  config: ConfigFile,
): Promise<DecoderAdapter> {
  const own = await readJson(folder, adapterFiles.own, OwnFile);
  checkConfig(config);
  const change = readChange(folder, config);
  const template = await findChatTemplate({ folder, gguf: null });
  return {
    kind: "decoder",
    id: own?.id ?? null,
    baseDigest: own?.base_digest ?? null,
    baseName: config.base_model_name_or_path,
    licence: own?.licence ?? null,
    chatTemplate: template === null ? null : { template, ...(await namedTokens(folder)) },
    ...change,
  };
}
