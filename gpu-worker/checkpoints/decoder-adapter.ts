/**
 * A tuned decoder in a folder as PEFT saves one for causal LM: layers of LoRA alone (lora-config.ts). `llm-os.json`
 * beside it may say what PEFT has no field for. The base's tokenizer and chat template are its own.
 */
import * as z from "zod";
import { Sha256 } from "../files/file-digest.ts";
import { readJson } from "../files/json-file.ts";
import { AdapterId, adapterFiles, readAdapterWeights } from "./adapter-files.ts";
import { checkLoraConfig, type LoraFields, type LoraLayer, readLoraLayers } from "./lora-config.ts";

export type DecoderAdapter = {
  readonly kind: "decoder";
  /** What llm-os.json says; null: its folder's name. */
  readonly id: string | null;
  /** sha256 of the base's upstream weights file; null: its name has to do. */
  readonly baseDigest: string | null;
  /** Id or hub name of the base. */
  readonly baseName: string;
  readonly licence: string | null;
  /** What it changes of its base, at least one layer. */
  readonly lora: readonly LoraLayer[];
};

/** What PEFT calls the task. */
export const causalLanguageModel = "CAUSAL_LM";

const OwnFile = z.looseObject({
  formatVersion: z.literal(1),
  id: AdapterId.nullish(),
  base_digest: Sha256.nullish(),
  licence: z.string().min(1).max(100).nullish(),
});

type ConfigFile = LoraFields & {
  readonly peft_type: string;
  readonly base_model_name_or_path: string;
  readonly modules_to_save?: readonly string[] | null | undefined;
};

function checkConfig(config: ConfigFile): void {
  const { peft_type: kind, modules_to_save: modules } = config;
  if (kind !== "LORA") {
    throw new Error(`${adapterFiles.config}: peft_type ${kind} is not served: only LORA is`);
  }
  checkLoraConfig({ ...config }, adapterFiles.config);
  if (!modules?.length) return;
  const named = JSON.stringify(modules);
  throw new Error(
    `${adapterFiles.config}: modules_to_save ${named} is not served: an adapter of a decoder holds layers of LoRA alone`,
  );
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
  const lora = readAdapterWeights(folder, (source) =>
    readLoraLayers(source, source.names(), config, "layers of LoRA are"),
  );
  if (lora.length === 0) throw new Error(`${adapterFiles.weights} holds no layers of LoRA`);
  return {
    kind: "decoder",
    id: own?.id ?? null,
    baseDigest: own?.base_digest ?? null,
    baseName: config.base_model_name_or_path,
    licence: own?.licence ?? null,
    lora,
  };
}
