/** A checkpoint as the peers load it: `onnx/model.onnx` by our builder, the hub's input names, the tokenizer. */
import { copyFileSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { buildEncoder, headOfCheckpoint } from "../../gpu-worker/architectures/encoder.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import { writeFileSync } from "node:fs";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";

/** @returns `target` */
export function exportForPeers(checkpoint: string, target: string): string {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(path.join(target, "onnx"), { recursive: true });
  for (const file of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(path.join(checkpoint, file), path.join(target, file));
  }
  const config: unknown = JSON.parse(readFileSync(path.join(checkpoint, "config.json"), "utf8"));
  const weights = openSafetensors(path.join(checkpoint, "model.safetensors"));
  try {
    const graph = buildEncoder(config, weights, {
      head: headOfCheckpoint(config),
      form: "f32",
    });
    writeFileSync(path.join(target, "onnx", "model.onnx"), encodeModelProto(graph));
  } finally {
    weights.close();
  }
  return target;
}
