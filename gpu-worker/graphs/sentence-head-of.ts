/**
 * The head of a sentence encoder's graph, with the weights of its stages, which are read whole: they are few and small.
 */
import { readdirSync } from "node:fs";
import path from "node:path";
import type { SentenceHead, SentenceStage } from "../architectures/encoder-head.ts";
import type { LaterStage, Sentence } from "../checkpoints/sentence-stages.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";

const weightsName = "model.safetensors";

function shapeText(sizes: readonly number[]): string {
  return `[${sizes.join(", ")}]`;
}

/** The stage's tensors of the shapes wanted, by name. @throws Error where one is missing or of another shape */
function readTensors(
  folder: string,
  stage: string,
  wanted: Readonly<Record<string, readonly number[]>>,
): Record<string, Float32Array> {
  const names = readdirSync(path.join(folder, stage));
  if (!names.includes(weightsName)) {
    const pickled = names.find((name) => name.endsWith(".bin"));
    const hint = pickled === undefined ? "" : `: save ${pickled} in the safetensors format`;
    throw new Error(`${stage}/${weightsName} is missing${hint}`);
  }
  const source = openSafetensors(path.join(folder, stage, weightsName));
  try {
    const read = Object.entries(wanted).map(([name, shape]) => {
      const entry = source.entry(name);
      const found = entry === null ? "not there" : shapeText(entry.shape);
      if (found !== shapeText(shape)) {
        throw new Error(
          `${stage}/${weightsName}: "${name}" is ${found}, wanted is ${shapeText(shape)}`,
        );
      }
      return [name, readFloat32(source, name)] as const;
    });
    return Object.fromEntries(read);
  } finally {
    source.close();
  }
}

const none = new Float32Array();

function readStage(folder: string, stage: LaterStage): SentenceStage {
  if (stage.kind === "normalize") return stage;
  if (stage.kind === "layer-norm") {
    const shape = [stage.width];
    const wanted = { "norm.weight": shape, "norm.bias": shape };
    const read = readTensors(folder, stage.folder, wanted);
    const { "norm.weight": weight = none, "norm.bias": bias = none } = read;
    return { kind: "layer-norm", weight, bias };
  }
  const { inputs, outputs, activation } = stage;
  const projected = stage.residual && inputs !== outputs;
  const read = readTensors(folder, stage.folder, {
    "linear.weight": [outputs, inputs],
    ...(stage.bias ? { "linear.bias": [outputs] } : {}),
    ...(projected ? { "residual.weight": [outputs, inputs] } : {}),
  });
  const kept = stage.residual ? "input" : null;
  return {
    kind: "dense",
    inputs,
    outputs,
    activation,
    weight: read["linear.weight"] ?? none,
    bias: read["linear.bias"] ?? null,
    residual: read["residual.weight"] ?? kept,
  };
}

/** @throws Error or WeightError for stages whose weights are not there or of another shape */
export function sentenceHeadOf(
  folder: string,
  { pooling, stages, normalize, keep, includePrompt }: Sentence,
): SentenceHead {
  return {
    name: "sentence",
    pooling,
    stages: stages.map((stage) => readStage(folder, stage)),
    normalize,
    keep,
    masked: !includePrompt,
  };
}
