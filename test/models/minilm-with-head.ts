/**
 * MiniLM, as it ships, with a head of each kind put on top: what tests and benchmarks serve where no real model of a
 * task is here. Heads hold numbers from a fixed sequence, so answers mean nothing, but they are the same in every run
 * and for every implementation that reads the checkpoint.
 */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";
import { readFloat32 } from "../../gpu-worker/weights/read-float32.ts";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import {
  type TensorToWrite,
  writeSafetensors,
} from "../../gpu-worker/weights/safetensors-writer.ts";

const embedded = path.resolve(
  import.meta.dirname,
  "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2",
);
const hidden = 384;
const vocabulary = 30_522;

type HeadShape = { architecture: string; labels: string[]; tensors: Record<string, number[]> };

const linear = (name: string, outputs: number) => ({
  [`${name}.weight`]: [outputs, hidden],
  [`${name}.bias`]: [outputs],
});

function classifier(architecture: string, labels: string[]): HeadShape {
  return { architecture, labels, tensors: linear("classifier", labels.length) };
}

export const minilmHeads = {
  "minilm-sentiment": classifier("BertForSequenceClassification", ["negative", "positive"]),
  "minilm-entailment": classifier("BertForSequenceClassification", [
    "entailment",
    "neutral",
    "contradiction",
  ]),
  "minilm-cross-encoder": classifier("BertForSequenceClassification", ["relevance"]),
  "minilm-relations": classifier("BertForSequenceClassification", [
    "Other",
    "Cause-Effect(e1,e2)",
    "Cause-Effect(e2,e1)",
  ]),
  "minilm-entities": classifier("BertForTokenClassification", [
    "O",
    "B-PER",
    "I-PER",
    "B-LOC",
    "I-LOC",
  ]),
  "minilm-answers": {
    architecture: "BertForQuestionAnswering",
    labels: ["LABEL_0", "LABEL_1"],
    tensors: linear("qa_outputs", 2),
  },
  "minilm-mask": {
    architecture: "BertForMaskedLM",
    labels: ["LABEL_0", "LABEL_1"],
    tensors: {
      ...linear("cls.predictions.transform.dense", hidden),
      "cls.predictions.transform.LayerNorm.weight": [hidden],
      "cls.predictions.transform.LayerNorm.bias": [hidden],
      "cls.predictions.bias": [vocabulary],
    },
  },
} as const satisfies Record<string, HeadShape>;

export type MinilmHead = keyof typeof minilmHeads;

/** Beyond config.json, what a folder says of itself where its architecture does not tell its task. */
const ownFiles: Partial<Record<MinilmHead, object>> = {
  "minilm-relations": {
    formatVersion: 1,
    task: "relation-extraction",
    entity_model: "minilm-entities",
  },
};

/** Numbers in ±0.25 from a linear congruential generator (Numerical Recipes). */
function fixedNumbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 33 - 0.25;
  });
}

function headTensors(shapes: Readonly<Record<string, readonly number[]>>): TensorToWrite[] {
  return Object.entries(shapes).map(([name, shape], at) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const numbers = name.endsWith("LayerNorm.weight")
      ? new Float32Array(count).fill(1)
      : fixedNumbers(count, at + 1);
    return { name, dtype: "float32" as const, shape: [...shape], load: () => numbers };
  });
}

type Storage = "int8" | "float32";

async function writeWeights(file: string, head: HeadShape, storage: Storage): Promise<void> {
  const source = openSafetensors(path.join(embedded, "model.safetensors"));
  try {
    const kept = source
      .names()
      .filter((name) => storage === "int8" || !name.endsWith(".scale"))
      .map((name): TensorToWrite => {
        const { dtype, shape } = source.entry(name) ?? { dtype: "float32", shape: [] };
        const stored = (): Tensor["data"] => source.read(name).data;
        return storage === "int8"
          ? { name: `bert.${name}`, dtype, shape, load: stored }
          : {
              name: `bert.${name}`,
              dtype: "float32",
              shape,
              load: () => readFloat32(source, name),
            };
      });
    const pooler =
      source.entry("pooler.dense.weight") === null ? linear("bert.pooler.dense", hidden) : {};
    await writeSafetensors(file, [...kept, ...headTensors({ ...pooler, ...head.tensors })]);
  } finally {
    source.close();
  }
}

/**
 * Writes the checkpoint to `folder`/`name`.
 * @param storage int8: as the product ships MiniLM. float32: as others read it.
 * @returns the checkpoint's folder
 */
export async function writeMinilmWithHead(
  folder: string,
  name: MinilmHead,
  storage: Storage = "int8",
): Promise<string> {
  const target = path.join(folder, name);
  const head = minilmHeads[name];
  await mkdir(target, { recursive: true });
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) {
    await copyFile(path.join(embedded, file), path.join(target, file));
  }
  const config: object = JSON.parse(await readFile(path.join(embedded, "config.json"), "utf8"));
  const id2label = Object.fromEntries(head.labels.map((label, at) => [at, label]));
  const label2id = Object.fromEntries(head.labels.map((label, at) => [label, at]));
  const own = { ...config, architectures: [head.architecture], id2label, label2id };
  await writeFile(path.join(target, "config.json"), JSON.stringify(own, null, 2));
  const said = ownFiles[name];
  if (said !== undefined) await writeFile(path.join(target, "llm-os.json"), JSON.stringify(said));
  await writeWeights(path.join(target, "model.safetensors"), head, storage);
  return target;
}
