/**
 * What a model's graph will take of memory, told from the weights' table of contents alone: the weights themselves are
 * not read. A little less than it takes in the end, since what a graph keeps twice is counted once.
 */
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { DecoderForm } from "../architectures/decoder-form.ts";
import type { Form } from "../compute-form/form-choice.ts";
import { openSafetensors } from "../weights/safetensors-reader.ts";
import type { WeightEntry } from "../weights/weight-source.ts";

const floatBytes = Float32Array.BYTES_PER_ELEMENT;

/** The matrices of layers are int8 in that form; a table that is looked up in stays int8 where it is stored so. */
function bytesOf({ name, dtype, shape }: WeightEntry, { form }: Form): number {
  const elements = shape.reduce((product, size) => product * size, 1);
  const isMatrix = shape.length === 2;
  const inLayer = isMatrix && /\.layers?\./.test(name);
  const isTable = isMatrix && name.includes("embeddings.");
  const isInt8 = (form === "int8" && inLayer) || (dtype === "int8" && isTable);
  return elements * (isInt8 ? 1 : floatBytes);
}

/** Bytes of a number in each form, about. */
const decoderNumberBytes: Readonly<Record<DecoderForm, number>> = {
  f32: floatBytes,
  f16: 2,
  // A scale for 32 of them.
  int8: 1 + floatBytes / 32,
  // Most have one for a row.
  "int8-rotated": 1 + floatBytes / 64,
  // And their least; a table of words in 8 bits.
  int4: 0.5 + (2 * floatBytes) / 32,
};

/** @param parameters numbers of all tensors */
export function decoderGraphBytes(parameters: number, form: DecoderForm): number {
  return parameters * decoderNumberBytes[form];
}

/** @throws WeightError for a file that is not valid */
export function graphBytes({ format, weightsFile, sizeBytes }: Checkpoint, form: Form): number {
  if (format === "onnx") return sizeBytes;
  const weights = openSafetensors(weightsFile);
  try {
    const entries = weights.names().flatMap((name) => weights.entry(name) ?? []);
    return entries.reduce((sum, entry) => sum + bytesOf(entry, form), 0);
  } finally {
    weights.close();
  }
}
