/**
 * A tiny encoder as a ready-made ONNX file beside the same as a checkpoint, so that answers can be compared. The graph
 * is the plain one with hidden states or logits alone, as exporters write it.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import type { Head } from "../../gpu-worker/architectures/encoder-head.ts";
import { buildEncoder } from "../../gpu-worker/architectures/encoder.ts";
import { encodeModelProto } from "../../gpu-worker/onnx/encode-model-proto.ts";
import type { Graph } from "../../gpu-worker/onnx/graph.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { writeSafetensors } from "../../gpu-worker/weights/safetensors-writer.ts";
import { writeTinyEncoder } from "./tiny-encoder.ts";

const hidden = 8;
const vocabulary = 10;

export type TinyHead = "none" | "sequence-classification" | "question-answering" | "masked-lm";

type HeadFiles = { architecture: string; tensors: Record<string, number[]> };

const linear = (name: string, outputs: number) => ({
  [`${name}.weight`]: [outputs, hidden],
  [`${name}.bias`]: [outputs],
});

const heads: Record<Exclude<TinyHead, "none">, HeadFiles> = {
  "sequence-classification": {
    architecture: "BertForSequenceClassification",
    tensors: linear("classifier", 2),
  },
  "question-answering": {
    architecture: "BertForQuestionAnswering",
    tensors: linear("qa_outputs", 2),
  },
  "masked-lm": {
    architecture: "BertForMaskedLM",
    tensors: {
      ...linear("cls.predictions.transform.dense", hidden),
      "cls.predictions.transform.LayerNorm.weight": [hidden],
      "cls.predictions.transform.LayerNorm.bias": [hidden],
      "cls.predictions.bias": [vocabulary],
    },
  },
};

const Config = z.looseObject({ architectures: z.array(z.string()) });

export async function changeConfig(folder: string, changes: object): Promise<void> {
  const file = path.join(folder, "config.json");
  const config = Config.parse(JSON.parse(await readFile(file, "utf8")));
  await writeFile(file, JSON.stringify({ ...config, ...changes }));
}

/** The encoder's tensors under a head's prefix, and the head's. */
async function addHead(folder: string, { architecture, tensors }: HeadFiles): Promise<void> {
  const file = path.join(folder, "model.safetensors");
  const source = openSafetensors(file);
  const own = source.names().map((name) => {
    const values = readFloat32(source, name);
    const shape = [...(source.entry(name)?.shape ?? [])];
    return { name: `bert.${name}`, dtype: "float32" as const, shape, load: () => values };
  });
  source.close();
  const added = Object.entries(tensors).map(([name, shape], seed) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = Float32Array.from({ length: count }, (_, at) => Math.sin(at * 7 + seed));
    return { name, dtype: "float32" as const, shape, load: () => values };
  });
  await writeSafetensors(file, [...own, ...added]);
  await rm(path.join(folder, "modules.json"));
  await changeConfig(folder, { architectures: [architecture] });
}

export async function writeTinyCheckpoint(folder: string, head: TinyHead): Promise<void> {
  await writeTinyEncoder(folder);
  if (head !== "none") await addHead(folder, heads[head]);
}

export type TinyOnnxOptions = {
  /** Where the graph is written, below the folder. Default model.onnx. */
  name?: string;
  /** What config.json would not have built. */
  change?: (graph: Graph) => Graph;
};

/** The same model as `writeTinyCheckpoint` writes, as an ONNX file in place of the weights. */
export async function writeTinyOnnx(
  folder: string,
  head: TinyHead,
  { name = "model.onnx", change = (graph) => graph }: TinyOnnxOptions = {},
): Promise<void> {
  await writeTinyCheckpoint(folder, head);
  const weightsFile = path.join(folder, "model.safetensors");
  const config = Config.parse(JSON.parse(await readFile(path.join(folder, "config.json"), "utf8")));
  const weights = openSafetensors(weightsFile);
  const wanted: Head = { name: head };
  const bytes = encodeModelProto(
    change(buildEncoder(config, weights, { head: wanted, form: "f32" })),
  );
  weights.close();
  await rm(weightsFile);
  await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
  await writeFile(path.join(folder, name), bytes);
}
