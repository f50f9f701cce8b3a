/** An adapter's layers of low rank as its base's stacks take them. */
import { transposeMatrix } from "../architectures/transpose-matrix.ts";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { readAdapterWeights, readFinite } from "../checkpoints/adapter-files.ts";
import { isShapeTable } from "../checkpoints/adapter-folder.ts";
import type { SoftPrompt } from "../checkpoints/soft-prompt-config.ts";
import { downName, type LoraLayer, upName } from "../checkpoints/lora-config.ts";
import type { AdapterModel } from "../checkpoints/model-folder.ts";
import type { LayerSize } from "../graphs/adapter-stacks.ts";
import type { LoraMatrices } from "../graphs/lora-stack.ts";

/** The layer of the base that an adapter's name stands for, which may begin with the base's prefix. */
function findLayer(
  { name, inputs, outputs }: LoraLayer,
  layers: ReadonlyMap<string, LayerSize>,
  prefixes: readonly string[],
): string {
  const prefix = prefixes.find(
    (each) => name.startsWith(each) && layers.has(name.slice(each.length)),
  );
  const found = name.slice(prefix?.length ?? 0);
  const size = layers.get(found);
  if (size === undefined) {
    throw new Error(`it changes ${name}, which is no layer of its base that can be changed here`);
  }
  if (size.inputs === inputs && size.outputs === outputs) return found;
  throw new Error(
    `${name} is [${outputs}, ${inputs}] in it and [${size.outputs}, ${size.inputs}] in its base`,
  );
}

/**
 * Largest number that half precision has (IEEE 754), far beyond what training comes to. Of a larger one a product in
 * half precision is not finite, also in the rows of another adapter that share a group with this one's.
 */
const weightMax = 65_504;

/** @throws Error where a number of the tensor, once it is scaled, is too large */
function scaled(elements: Float32Array, scale: number, name: string): Float32Array {
  const whole = scale === 1 ? elements : elements.map((element) => element * scale);
  if (whole.every((element) => Math.abs(element) <= weightMax)) return whole;
  const times = scale === 1 ? "" : `, times lora_alpha's scale ${scale}`;
  throw new Error(`${name} holds a number beyond ±${weightMax}${times}`);
}

/** Its table of word shapes, [shapes, width]; null: it reads none. */
export function readShapes({ folder, adapter }: AdapterModel): Float32Array | null {
  if (adapter.kind === "decoder" || !adapter.wordShapes) return null;
  return readAdapterWeights(folder, (source) => {
    const name = source.names().find(isShapeTable);
    if (name === undefined) throw new Error("its table of word shapes is missing");
    return readFinite(source, name);
  });
}

/** Of a soft prompt, row by row. @throws Error where the folder has changed since it was read */
export function readPromptVectors(folder: string, { tokens, width }: SoftPrompt): Float32Array {
  const vectors = readAdapterWeights(folder, (source) => readFinite(source, promptTable));
  if (vectors.length === tokens * width) return vectors;
  throw new Error(`${promptTable} has changed since the folder was read`);
}

/**
 * @param prefixes that its base may put before the names of its layers
 * @param layers of the base
 * @throws Error whose message completes "the model cannot be served: …"
 */
export function readLora(
  { folder, adapter }: AdapterModel,
  prefixes: readonly string[],
  layers: ReadonlyMap<string, LayerSize>,
): ReadonlyMap<string, LoraMatrices> {
  return readAdapterWeights(folder, (source) => {
    const read = adapter.lora.map((layer) => {
      const { name, inputs, rank, scale } = layer;
      const found = findLayer(layer, layers, prefixes);
      const [a, b] = [downName(name), upName(name)];
      const down = transposeMatrix(scaled(readFinite(source, a), 1, a), inputs);
      const up = transposeMatrix(scaled(readFinite(source, b), scale, b), rank);
      if (down.length !== inputs * rank || up.length !== layer.outputs * rank) {
        throw new Error(`${name} has changed since the folder was read`);
      }
      return [found, { rank, down, up }] as const;
    });
    const matrices = new Map(read);
    if (matrices.size === read.length) return matrices;
    throw new Error("it names a layer of its base twice");
  });
}
