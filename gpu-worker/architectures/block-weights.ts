/**
 * Matrices in blocks as constants of a graph, whatever they are stored in: 8-bit blocks made here, 4-bit blocks of a
 * GGUF file as they are, or these in 8 bits.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import {
  blockElements,
  blocksPerRow,
  hasNibbles,
  middledBlocksOf,
  nibbleBlocksOf,
  scalesOf,
  stepsOf,
} from "../weights/block-matrix.ts";
import type { NibbleBlocks } from "../weights/block-matrix.ts";
import { computedTogether } from "./computed-together.ts";
import type { Parameters } from "./parameters.ts";
import type { ProjectionMatrix } from "./projection-weights.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

/** [rows, columns]. */
export type MatrixSize = { readonly name: string; readonly rows: number; readonly columns: number };

export type BlockWeights = {
  readonly bits: 8 | 4;
  /** uint8 [rows, blocks, 4 · bits]. */
  readonly steps: Value;
  /** f32 [rows · blocks]. */
  readonly scales: Value;
  /** uint8 [rows · blocks]; null: those that operators take without. */
  readonly middles: Value | null;
  /** f32 [blocks, rows]: what every element of a block has more; null: nothing. */
  readonly shifts: Value | null;
};

/** Row-major. */
type Loads = {
  readonly bits: 8 | 4;
  readonly steps: () => Uint8Array;
  readonly scales: () => Float32Array;
  readonly middles?: () => Uint8Array;
  readonly shifts?: () => Float32Array;
};

function addWeights(graph: GraphBuilder, size: MatrixSize, loads: Loads): BlockWeights {
  const name = graph.uniqueName(size.name);
  const [rows, blocks] = [size.rows, blocksPerRow(size.columns)];
  const { bits, steps, scales, middles, shifts } = loads;
  const width = (blockElements * bits) / 8;
  const bytes = { dtype: "uint8" as const };
  const reals = { dtype: "float32" as const };
  const each = [rows * blocks];
  const transposed = shifts && (() => transposeMatrix(shifts(), blocks));
  const add = graph.initializer.bind(graph);
  return {
    bits,
    steps: add({ ...bytes, name, shape: [rows, blocks, width], load: steps }),
    scales: add({ ...reals, name: `${name}.scales`, shape: each, load: scales }),
    middles: middles
      ? add({ ...bytes, name: `${name}.middles`, shape: each, load: middles })
      : null,
    shifts: transposed
      ? add({ ...reals, name: `${name}.shifts`, shape: [blocks, rows], load: transposed })
      : null,
  };
}

/** A matrix in 8 bits. */
export function roundedLoads({
  columns,
  load,
}: {
  readonly columns: number;
  readonly load: () => Float32Array;
}): Pick<Loads, "steps" | "scales"> {
  const of = computedTogether(() => {
    const matrix = load();
    return { steps: stepsOf(matrix, columns), scales: scalesOf(matrix, columns) };
  });
  return { steps: of("steps"), scales: of("scales") };
}

/** In 8 bits. */
export function roundedWeights(
  graph: GraphBuilder,
  size: MatrixSize,
  load: () => Float32Array,
): BlockWeights {
  return addWeights(graph, size, { bits: 8, ...roundedLoads({ columns: size.columns, load }) });
}

/** Parts below each other, as one array. */
function below<A extends Uint8Array | Float32Array>(
  parts: readonly A[],
  make: (length: number) => A,
): A {
  const all = make(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const bytesOf = (parts: readonly Uint8Array[]) => below(parts, (length) => new Uint8Array(length));
const realsOf = (parts: readonly Float32Array[]) =>
  below(parts, (length) => new Float32Array(length));

function nibbleLoads(read: () => readonly NibbleBlocks[], isCentred: boolean): Loads {
  const loads = computedTogether(() => {
    const parts = read();
    return {
      steps: bytesOf(parts.map(({ nibbles }) => nibbles)),
      scales: realsOf(parts.map(({ scales }) => scales)),
      shifts: realsOf(parts.map(({ shifts }) => shifts)),
    };
  });
  return {
    bits: 4,
    steps: loads("steps"),
    scales: loads("scales"),
    ...(!isCentred && { shifts: loads("shifts") }),
  };
}

/** Not `roundedWeights`: to round what was rounded costs as much as a third of what computing in blocks loses. */
function middledLoads(read: () => readonly NibbleBlocks[]): Loads {
  const loads = computedTogether(() => {
    const parts = read().map(middledBlocksOf);
    return {
      steps: bytesOf(parts.map(({ steps }) => steps)),
      scales: realsOf(parts.map(({ scales }) => scales)),
      middles: bytesOf(parts.map(({ middles }) => middles)),
    };
  });
  return { bits: 8, steps: loads("steps"), scales: loads("scales"), middles: loads("middles") };
}

/** @param keepsNibbles whether what is stored in 4-bit blocks stays so */
export function projectionWeights(
  parameters: Parameters,
  matrix: ProjectionMatrix,
  keepsNibbles: boolean,
): BlockWeights {
  const { graph } = parameters;
  const { parts, padded, load } = matrix;
  const types = parameters.blockTypes(parts);
  if (padded || types === null || !types.every(hasNibbles)) {
    return roundedWeights(graph, matrix, load);
  }
  const read = () => parameters.blocks(parts).map(nibbleBlocksOf);
  const isCentred = types.every((type) => type === "Q4_0");
  return addWeights(
    graph,
    matrix,
    keepsNibbles ? nibbleLoads(read, isCentred) : middledLoads(read),
  );
}
