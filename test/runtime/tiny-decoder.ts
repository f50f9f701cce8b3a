/** A made-up decoder of test/architectures/decoders, and what its session is fed for one new token of each text. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { DecoderOptions } from "../../gpu-worker/architectures/causal-transformer.ts";
import type { DecoderForm } from "../../gpu-worker/architectures/decoder-form.ts";
import { buildDecoder } from "../../gpu-worker/architectures/decoder.ts";
import { encodeModel } from "../../gpu-worker/onnx/encode-model.ts";
import { noPiece } from "../../gpu-worker/model/decoder-feeds.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";

export async function tinyDecoder(
  name: string,
  positions: number,
  form: DecoderForm = "f32",
  more: Pick<DecoderOptions, "lora" | "mixed"> = {},
): Promise<Uint8Array> {
  const folder = path.join(import.meta.dirname, "../architectures/decoders", name);
  const weights = openSafetensors(path.join(folder, "model.safetensors"));
  try {
    const config: unknown = JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8"));
    return await encodeModel(buildDecoder(config, weights, { positions, form, ...more }));
  } finally {
    weights.close();
  }
}

/** @param length of every text, the new token counted */
export function nextTokens(ids: readonly number[], length: number): Record<string, Tensor> {
  const texts = ids.length;
  return {
    input_ids: int64([texts, 1], ids),
    lengths: tensor("int32", [texts], new Int32Array(texts).fill(length)),
    total_length: tensor("int32", [], Int32Array.of(length)),
    positions: int64([texts], ids.keys()),
    ...noPiece,
  };
}
