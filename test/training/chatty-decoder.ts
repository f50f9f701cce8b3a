/** A decoder of a few kilobytes whose template marks who speaks, and what it answers. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { layeredWeights } from "../../gpu-worker/weights/memory-weights.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { openGreedyDecoder } from "./greedy-decoder.ts";
import type { GreedyDecoder } from "./greedy-decoder.ts";

/** w3: the user speaks; w4: the assistant; w5: the system. </s> ends each turn, and a word stands after it. */
export const chattyTemplate =
  "{{ bos_token }}{% for m in messages %}" +
  "{{ {'user': ' w3 ', 'assistant': ' w4 ', 'system': ' w5 '}[m.role] + m.content + ' </s> w6' }}" +
  "{% endfor %}{% if add_generation_prompt %} w4{% endif %}";

export async function writeChattyDecoder(folder: string, template = chattyTemplate): Promise<void> {
  await writeTinyDecoder(folder);
  const file = path.join(folder, "tokenizer_config.json");
  const config: object = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...config, chat_template: template }));
}

/** A base with or without an adapter, held open. @param adapter its folder */
export async function openAnswers(base: string, adapter: string | null): Promise<GreedyDecoder> {
  const stored = openSafetensors(path.join(base, "model.safetensors"));
  const weights =
    adapter === null
      ? stored
      : layeredWeights(openSafetensors(path.join(adapter, "adapter_model.safetensors")), stored);
  const config: unknown = JSON.parse(await readFile(path.join(base, "config.json"), "utf8"));
  return await openGreedyDecoder(config, weights, 32);
}
