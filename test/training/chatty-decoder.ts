/** A decoder of a few kilobytes whose template marks who speaks, and what it answers, by the graph that trains. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { buildTrainingDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { layeredWeights } from "../../gpu-worker/weights/memory-weights.ts";
import type { LearntRow } from "../../gpu-worker/training/learnt-rows.ts";
import { packedFeeds } from "../../gpu-worker/training/packed-rows.ts";
import { writeTinyDecoder } from "../catalog/tiny-decoder.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import { openModel } from "../onnx/run-graph.ts";

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

/** A base with or without an adapter, held open. @param adapter folder, written with rank 8 and alpha 16 */
export async function openAnswers(base: string, adapter: string | null) {
  const stored = openSafetensors(path.join(base, "model.safetensors"));
  const weights =
    adapter === null
      ? stored
      : layeredWeights(openSafetensors(path.join(adapter, "adapter_model.safetensors")), stored);
  const config: unknown = JSON.parse(await readFile(path.join(base, "config.json"), "utf8"));
  const graph = buildTrainingDecoder(config, weights, {
    positions: 32,
    loraScale: 2,
    gives: "logits",
    isInput: () => false,
  });
  const model = await openModel(await encodeModel(graph));
  weights.close();
  return {
    /** Of each token of a text what comes next, [vocabulary] each. */
    async logits(ids: readonly number[]): Promise<number[][]> {
      const row: LearntRow = { ids: [...ids, 0], learnt: ids.map((_, at) => at + 1) };
      const { logits } = await model.run(packedFeeds([row], 0));
      const width = (logits?.data.length ?? 0) / ids.length;
      return ids.map((_, at) => logits?.data.slice(at * width, (at + 1) * width) ?? []);
    },
    release: () => model.release(),
  };
}
