/** A sentence encoder of any size with random weights and the tiny encoder's tokenizer: for what only size shows. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

export type EncoderSize = {
  hidden: number;
  intermediate: number;
  layers: number;
  heads: number;
  vocabulary: number;
  positions: number;
};

/** 109 million parameters, 438 MB in f32. */
export const bertBase: EncoderSize = {
  hidden: 768,
  intermediate: 3_072,
  layers: 12,
  heads: 12,
  vocabulary: 30_522,
  positions: 512,
};

function layerShapes(at: string, { hidden, intermediate }: EncoderSize) {
  const dense = (name: string, outputs: number, inputs: number) => [
    [`${at}.${name}.weight`, [outputs, inputs]] as const,
    [`${at}.${name}.bias`, [outputs]] as const,
  ];
  const norm = (name: string) => [
    [`${at}.${name}.LayerNorm.weight`, [hidden]] as const,
    [`${at}.${name}.LayerNorm.bias`, [hidden]] as const,
  ];
  return [
    ...["self.query", "self.key", "self.value", "output.dense"].flatMap((part) =>
      dense(`attention.${part}`, hidden, hidden),
    ),
    ...norm("attention.output"),
    ...dense("intermediate.dense", intermediate, hidden),
    ...dense("output.dense", hidden, intermediate),
    ...norm("output"),
  ];
}

function shapesOf(size: EncoderSize): (readonly [string, readonly number[]])[] {
  const { hidden, layers, vocabulary, positions } = size;
  return [
    ["embeddings.word_embeddings.weight", [vocabulary, hidden]],
    ["embeddings.position_embeddings.weight", [positions, hidden]],
    ["embeddings.token_type_embeddings.weight", [2, hidden]],
    ["embeddings.LayerNorm.weight", [hidden]],
    ["embeddings.LayerNorm.bias", [hidden]],
    ...Array.from({ length: layers }, (_, layer) =>
      layerShapes(`encoder.layer.${layer}`, size),
    ).flat(),
  ];
}

/** Within ±0.05: the same few thousand numbers over and over, each tensor from another one of them. */
function numbers(count: number, start: number): Float32Array {
  const period = 4_093;
  const values = new Float32Array(count);
  for (let at = 0; at < Math.min(count, period); at += 1) {
    values[at] = ((Math.imul(at + start, 2_654_435_761) >>> 0) / 2 ** 32 - 0.5) / 10;
  }
  for (let done = period; done < count; done *= 2) {
    values.copyWithin(done, 0, Math.min(done, count - done));
  }
  return values;
}

export async function writeRandomEncoder(folder: string, size: EncoderSize): Promise<void> {
  await writeTinyEncoder(folder);
  const file = path.join(folder, "config.json");
  const config = z.looseObject({}).parse(JSON.parse(await readFile(file, "utf8")));
  const sizes = {
    hidden_size: size.hidden,
    intermediate_size: size.intermediate,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    vocab_size: size.vocabulary,
    max_position_embeddings: size.positions,
  };
  const pooling = { word_embedding_dimension: size.hidden, pooling_mode_mean_tokens: true };
  const stages = { max_seq_length: size.positions, do_lower_case: false };
  await writeFile(file, JSON.stringify({ ...config, ...sizes }));
  await writeFile(path.join(folder, "1_Pooling/config.json"), JSON.stringify(pooling));
  await writeFile(path.join(folder, "sentence_bert_config.json"), JSON.stringify(stages));
  const tensors = shapesOf(size).map(([name, shape], start) => {
    const count = shape.reduce((product, length) => product * length, 1);
    return { name, dtype: "float32" as const, shape, load: () => numbers(count, start) };
  });
  await writeSafetensors(path.join(folder, "model.safetensors"), tensors);
}
