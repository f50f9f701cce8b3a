/**
 * A model that writes as files that need nothing of ours: its graph in f32 with its adapter merged, or its soft prompt
 * behind the vocabulary; its tokenizer, whatever file it comes from; model.json (ends, lengths, the shape of keys and
 * values, the chat template); model.mjs, which writes the likeliest answer, and run.mjs, which calls it.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { decoderPrefixes } from "../architectures/decoder-architecture.ts";
import { buildDecoder, decoderOf } from "../architectures/decoder.ts";
import { wrongBase } from "../catalog/adapter-base.ts";
import { type BaseModel, describeBase } from "../catalog/base-model.ts";
import { chatTemplateOf, decoderAdapterLimits } from "../catalog/load-decoder-adapter.ts";
import { identityFiles } from "../checkpoints/checkpoint.ts";
import type { DecoderAdapter } from "../checkpoints/decoder-adapter.ts";
import {
  type DecoderCheckpoint,
  decoderTokenizerFiles,
  readDecoderCheckpoint,
} from "../checkpoints/decoder-checkpoint.ts";
import { openDecoderWeights } from "../checkpoints/decoder-weights.ts";
import type { AdapterOf } from "../checkpoints/model-folder.ts";
import type { SoftPrompt } from "../checkpoints/soft-prompt-config.ts";
import { writeModel } from "../onnx/write-model.ts";
import type { WeightSource } from "../weights/weight-source.ts";
import { copyNamed, makeEmpty, writeScript, writeWeights } from "./exported-files.ts";
import { expectMergeable, mergedWeights, withPromptOf } from "./merged-weights.ts";

export type DecoderToExport = {
  base: DecoderCheckpoint;
  /** Null: the checkpoint itself. */
  adapter: AdapterOf<DecoderAdapter> | null;
};

/** @throws Error where `found` is not the adapter's base */
export async function decoderWithAdapter(
  adapter: AdapterOf<DecoderAdapter>,
  found: BaseModel,
  signal: AbortSignal,
): Promise<DecoderToExport> {
  const base = await readDecoderCheckpoint(found.folder, null);
  if (base === null) throw new Error(`its base ${found.known.id} is no decoder`);
  const { baseDigest } = await describeBase(found, signal);
  const wrong = wrongBase(adapter.adapter, found.known.id, baseDigest);
  if (wrong !== null) throw wrong;
  return { base, adapter };
}

/** @param merge the checkpoint of the base with the adapter in it, too @throws Error in words for people */
export async function exportDecoder(
  exported: DecoderToExport,
  { out, merge }: { out: string; merge: boolean },
): Promise<void> {
  const { base, adapter } = exported;
  const softPrompt = adapter?.adapter.softPrompt ?? null;
  if (merge) expectMergeable(softPrompt);
  const { config, weights: opened } = openDecoderWeights(base);
  try {
    const weights = tunedWeights(opened, exported);
    const { vocabulary, hidden } = decoderOf(config);
    if (softPrompt !== null) expectWidth(softPrompt, hidden);
    await makeEmpty(out);
    const positions = base.limits.maxTokens;
    const graph = buildDecoder(config, weights, { positions, mixed: false });
    await writeModel(graph, path.join(out, "model.onnx"));
    if (merge) await writeMerged(path.join(out, "checkpoint"), { base, config, weights });
    await writeScript(out, "exported-decoder.mjs", describe(exported, vocabulary));
  } finally {
    opened.close();
  }
  await writeTokenizer(out, base);
  await copyNamed(adapter?.folder ?? base.folder, out, "README.md");
}

function tunedWeights(base: WeightSource, { adapter: model }: DecoderToExport): WeightSource {
  if (model === null) return base;
  const { softPrompt } = model.adapter;
  if (softPrompt === null) return mergedWeights(base, ["", ...decoderPrefixes], model);
  return withPromptOf(base, model.folder, softPrompt);
}

function expectWidth({ width }: SoftPrompt, hidden: number): void {
  if (width === hidden) return;
  throw new Error(`its virtual tokens have ${width} numbers each, those of its base ${hidden}`);
}

/** What model.mjs has to know. */
function describe({ base, adapter: model }: DecoderToExport, vocabulary: number) {
  const adapter = model?.adapter ?? null;
  const template = adapter === null ? base.chatTemplate : chatTemplateOf(adapter, base);
  const limits = adapter === null ? base.limits : decoderAdapterLimits(adapter, base.limits);
  return {
    task: template === null ? "text-generation" : "chat-completion",
    end_tokens: base.endTokens,
    /** Of prompt and answer together, virtual tokens aside. */
    max_tokens: limits.maxTokens,
    /** Ids that a text begins with. */
    virtual_tokens: Array.from(
      { length: adapter?.softPrompt?.tokens ?? 0 },
      (_, at) => vocabulary + at,
    ),
    key_values: base.keyValues,
    chat_template: template?.template ?? null,
    bos_token: template?.bosToken ?? "",
    eos_token: template?.eosToken ?? "",
  };
}

async function writeTokenizer(out: string, base: DecoderCheckpoint): Promise<void> {
  const { definition } = await decoderTokenizerFiles(base);
  await writeFile(path.join(out, "tokenizer.json"), JSON.stringify(definition));
  await copyNamed(base.folder, out, "tokenizer_config.json");
}

type Merged = { base: DecoderCheckpoint; config: unknown; weights: WeightSource };

/** As transformers reads it, whatever file the base's weights are in. */
async function writeMerged(out: string, { base, config, weights }: Merged): Promise<void> {
  await writeWeights(out, weights);
  const beside = ["generation_config.json", "chat_template.jinja", ...identityFiles];
  for (const name of beside) if (name !== "llm-os.json") await copyNamed(base.folder, out, name);
  await writeFile(path.join(out, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  await writeTokenizer(out, base);
}
