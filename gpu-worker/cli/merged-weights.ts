/** A base's weights with an adapter's layers of low rank added to them: W + s·B·A (arXiv:2106.09685, section 4.1). */
import { shapeTable } from "../architectures/embedding.ts";
import { promptTable } from "../architectures/virtual-tokens.ts";
import { readLora, readPromptVectors, readShapes } from "../catalog/read-lora.ts";
import type { AdapterModel } from "../checkpoints/model-folder.ts";
import type { LayerSize } from "../graphs/adapter-stacks.ts";
import type { LoraMatrices } from "../graphs/lora-stack.ts";
import { wordShapes } from "../model/word-shapes.ts";
import type { SoftPrompt } from "../checkpoints/soft-prompt-config.ts";
import { float32 } from "../tensor/tensor.ts";
import { layeredWeights, memoryWeights } from "../weights/memory-weights.ts";
import { scaleSuffix } from "../weights/int8-rows.ts";
import { readFloat32 } from "../weights/read-float32.ts";
import { WeightError, type WeightSource } from "../weights/weight-source.ts";

const weightSuffix = ".weight";

/** Names of the tensors of matrices, by the name of their layer. */
function matricesOf(base: WeightSource, prefixes: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of base.names()) {
    if (!name.endsWith(weightSuffix) || base.entry(name)?.shape.length !== 2) continue;
    const prefix = prefixes.findLast((each) => name.startsWith(each)) ?? "";
    found.set(name.slice(prefix.length, -weightSuffix.length), name);
  }
  return found;
}

function sizesOf(base: WeightSource, tensors: ReadonlyMap<string, string>): Map<string, LayerSize> {
  const sizes = [...tensors].map(([layer, name]): [string, LayerSize] => {
    const [outputs = 0, inputs = 0] = base.entry(name)?.shape ?? [];
    return [layer, { inputs, outputs }];
  });
  return new Map(sizes);
}

/** Adds up · down to `weight` [outputs, inputs]; `down` is [inputs, rank], `up` [rank, outputs]. */
function addProduct(weight: Float32Array, { rank, down, up }: LoraMatrices): Float32Array {
  const [inputs, outputs] = [down.length / rank, up.length / rank];
  return weight.map((element, at) => {
    const [output, input] = [Math.floor(at / inputs), at % inputs];
    let sum = element;
    for (let k = 0; k < rank; k += 1) {
      sum += (down[input * rank + k] ?? 0) * (up[k * outputs + output] ?? 0);
    }
    return sum;
  });
}

/**
 * All of them in f32.
 * @param prefixes that the base may put before the names of its layers
 * @throws Error for an adapter that is not of this base; what reading throws
 */
export function mergedWeights(
  base: WeightSource,
  prefixes: readonly string[],
  model: AdapterModel,
): WeightSource {
  const tensors = matricesOf(base, prefixes);
  const lora = readLora(model, prefixes, sizesOf(base, tensors));
  const added = new Map([...lora].map(([layer, matrices]) => [tensors.get(layer), matrices]));
  const shapes = shapeTensor(tensors, model);
  const own = base.names().filter((name) => !name.endsWith(scaleSuffix));
  const names = shapes === null ? own : [...own, shapes.name];
  const entry = (name: string) => {
    if (name === shapes?.name) return shapes.entry;
    const found = names.includes(name) ? base.entry(name) : null;
    if (found === null || !isReal(found.dtype)) return found;
    const size = found.shape.reduce((product, each) => product * each, 1);
    return { name, dtype: "float32" as const, shape: found.shape, byteLength: 4 * size };
  };
  return {
    metadata: base.metadata,
    names: () => names,
    entry,
    read(name) {
      const found = entry(name);
      if (found === null) throw new WeightError(`there is no tensor "${name}"`);
      if (found.dtype !== "float32") return base.read(name);
      const weight = name === shapes?.name ? shapes.values : readFloat32(base, name);
      const matrices = added.get(name);
      const data = matrices === undefined ? weight : addProduct(weight, matrices);
      return { dtype: "float32", shape: found.shape, data: Float32Array.from(data) };
    },
    close: () => base.close(),
  };
}

/** @throws Error for a soft prompt */
export function expectMergeable(softPrompt: SoftPrompt | null): void {
  if (softPrompt === null) return;
  throw new Error("--merge is for adapters: a soft prompt changes no weight of its base");
}

/** A base's weights with the vectors of a soft prompt, which its graph has behind those of the words. */
export function withPromptOf(base: WeightSource, folder: string, size: SoftPrompt): WeightSource {
  const table = float32([size.tokens, size.width], readPromptVectors(folder, size));
  return layeredWeights(memoryWeights(new Map([[promptTable, table]])), base);
}

const wordTable = "embeddings.word_embeddings";

/** The adapter's table of word shapes under the name that a checkpoint has it by; null: it has none. */
function shapeTensor(tensors: ReadonlyMap<string, string>, model: AdapterModel) {
  const values = readShapes(model);
  if (values === null) return null;
  const words = tensors.get(wordTable);
  if (words === undefined) throw new Error(`its base has no ${wordTable}${weightSuffix}`);
  const name = words.slice(0, -(wordTable + weightSuffix).length) + shapeTable;
  const shape = [wordShapes.length, values.length / wordShapes.length];
  const entry = { name, dtype: "float32" as const, shape, byteLength: values.byteLength };
  return { name, values, entry };
}

/** A position table of ids stays as it is. */
function isReal(dtype: string): boolean {
  return ["float16", "bfloat16", "float32", "float64", "int8"].includes(dtype);
}
