/** Folders with a decoder of a few kilobytes, made up, and a tokenizer whose words are w3, w4 … */
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { sharedFolder } from "./shared-folder.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";

const made = path.join(import.meta.dirname, "../architectures/decoders");
const special = ["<pad>", "<s>", "</s>"];
const names = ["config.json", "generation_config.json", "model.safetensors"];

/** What transformers gives for them: see test/architectures/decoders/make_decoders.py. */
export type Expected = { input_ids: number[][]; attention_mask: number[][]; logits: number[][][] };

export const chatTemplate =
  "{{ bos_token }}{% for message in messages %} {{ message.content }}{% endfor %}";

function tokenizer(size: number): object {
  const words = Array.from({ length: size }, (_, id) => special[id] ?? `w${id}`);
  return {
    version: "1.0",
    added_tokens: special.map((content, id) => ({
      id,
      content,
      special: true,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: null,
    model: {
      type: "WordLevel",
      unk_token: "<pad>",
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  };
}

/** @param size of the vocabulary */
export async function writeTinyTokenizer(
  folder: string,
  size: number,
  { template = true } = {},
): Promise<void> {
  await writeFile(path.join(folder, "tokenizer.json"), JSON.stringify(tokenizer(size)));
  const config = { bos_token: "<s>", eos_token: "</s>", model_max_length: 1e30 };
  const chat = template ? { chat_template: chatTemplate } : {};
  await writeFile(
    path.join(folder, "tokenizer_config.json"),
    JSON.stringify({ ...config, ...chat }),
  );
}

function madeFolder(name: string): string {
  if (!name.startsWith("shared/")) return path.join(made, name);
  return path.join(sharedFolder ?? "", "models/references/tiny", path.basename(name));
}

/** @param name of a folder of `made`, or `shared/` and that of one of the shared folder */
export async function writeTinyDecoder(
  folder: string,
  name = "llama-all-biases",
  options: { template?: boolean } = {},
): Promise<Expected> {
  await mkdir(folder, { recursive: true });
  const from = madeFolder(name);
  const there = new Set(await readdir(from));
  for (const each of names.filter((file) => there.has(file)))
    await copyFile(path.join(from, each), path.join(folder, each));
  const config: { vocab_size: number } = JSON.parse(
    await readFile(path.join(from, "config.json"), "utf8"),
  );
  await writeTinyTokenizer(folder, config.vocab_size, options);
  return JSON.parse(await readFile(path.join(from, "expected.json"), "utf8"));
}

/** The weights of the folder in two files and their index, in place of the one. @returns their names */
export async function writeInShards(from: string, to: string): Promise<string[]> {
  const source = openSafetensors(path.join(from, "model.safetensors"));
  const tensors = source.names().map((name) => {
    const { dtype, shape, data } = source.read(name);
    return { name, dtype, shape, load: () => data };
  });
  source.close();
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const weightMap: Record<string, string> = {};
  for (const [at, shard] of shards.entries()) {
    const own = tensors.filter((_, index) => index % 2 === at);
    for (const { name } of own) weightMap[name] = shard;
    await writeSafetensors(path.join(to, shard), own);
  }
  const index = { metadata: {}, weight_map: weightMap };
  await writeFile(path.join(to, "model.safetensors.index.json"), JSON.stringify(index));
  return shards;
}
