/**
 * A decoder's products with weights in blocks of 32 (MatMulNBits of ONNX Runtime), which rounds what it multiplies to 8
 * bits in blocks of 32 too, each token by itself, and adds integers. What one large value spoils stays within a block:
 * a scale for each row and each token lost 25 times as much on SmolLM2's reference texts, and 5 times after rotations.
 *
 * 4-bit blocks of a checkpoint are computed as they are stored. The operator takes their least values as integers alone
 * (with real ones it is 30 times slower), so what is left of them is a product by itself, 32 times narrower: of the
 * blocks' sums with their shifts.
 */
import type { GraphBuilder } from "../onnx/graph-builder.ts";
import type { Value } from "../onnx/value.ts";
import { elementCount } from "../tensor/shape.ts";
import { tensor } from "../tensor/tensor.ts";
import {
  blockElements,
  blocksPerRow,
  hasNibbles,
  nibbleBlocksOf,
  scalesOf,
  stepsOf,
} from "../weights/block-matrix.ts";
import type { NibbleBlocks } from "../weights/block-matrix.ts";
import type { DecoderProducts, WordTable } from "./decoder-products.ts";
import type { Parameters } from "./parameters.ts";
import { biasOf, matrixOf } from "./projection-weights.ts";
import type { ProjectionMatrix } from "./projection-weights.ts";
import { transposeMatrix } from "./transpose-matrix.ts";

/** [rows, columns] in blocks, as constants of the graph. */
type BlockMatrix = {
  readonly bits: 8 | 4;
  readonly rows: number;
  readonly columns: number;
  /** uint8 [rows, blocks, 4 · bits]. */
  readonly steps: Value;
  /** f32 [rows · blocks]. */
  readonly scales: Value;
  /** f32 [blocks, rows]: what every element of a block has more; null: nothing. */
  readonly shifts: Value | null;
};

type RealMatrix = {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly load: () => Float32Array;
};

/** What it multiplies is rounded to 8 bits. */
const accuracyLevel = 4;

function steppedMatrix(graph: GraphBuilder, matrix: RealMatrix): BlockMatrix {
  const { rows, columns, load } = matrix;
  const name = graph.uniqueName(matrix.name);
  const blocks = blocksPerRow(columns);
  const steps = graph.initializer({
    name,
    dtype: "uint8",
    shape: [rows, blocks, blockElements],
    load: () => stepsOf(load(), columns),
  });
  const scales = graph.initializer({
    name: `${name}.scales`,
    dtype: "float32",
    shape: [rows * blocks],
    load: () => scalesOf(load(), columns),
  });
  return { bits: 8, rows, columns, steps, scales, shifts: null };
}

/** Parts below each other, as one array. */
function joined<A extends Uint8Array | Float32Array>(parts: readonly A[], to: A): A {
  let at = 0;
  for (const part of parts) {
    to.set(part, at);
    at += part.length;
  }
  return to;
}

/** @returns null for a matrix of which a part is stored otherwise */
function nibbleMatrix(parameters: Parameters, matrix: ProjectionMatrix): BlockMatrix | null {
  const { rows, columns, parts } = matrix;
  const types = parameters.blockTypes(parts);
  if (matrix.padded || types === null || !types.every(hasNibbles)) return null;
  const { graph } = parameters;
  const name = graph.uniqueName(matrix.name);
  const blocks = blocksPerRow(columns);
  const read = () => parameters.blocks(parts).map(nibbleBlocksOf);
  const shape = [rows, blocks, blockElements / 2];
  const steps = graph.initializer({
    name,
    dtype: "uint8",
    shape,
    load: () =>
      joined(
        read().map(({ nibbles }) => nibbles),
        new Uint8Array(elementCount(shape)),
      ),
  });
  const reals = (of: (part: NibbleBlocks) => Float32Array) =>
    joined(read().map(of), new Float32Array(rows * blocks));
  const scales = graph.initializer({
    name: `${name}.scales`,
    dtype: "float32",
    shape: [rows * blocks],
    load: () => reals((part) => part.scales),
  });
  const shifts = () =>
    graph.initializer({
      name: `${name}.shifts`,
      dtype: "float32",
      shape: [blocks, rows],
      load: () =>
        transposeMatrix(
          reals((part) => part.shifts),
          blocks,
        ),
    });
  const isCentred = types.every((type) => type === "Q4_0");
  return { bits: 4, rows, columns, steps, scales, shifts: isCentred ? null : shifts() };
}

/** f32 [columns, blocks]: 1 where the column is the block's. A product with it sums blocks. */
function blockMembers(graph: GraphBuilder, columns: number): Value {
  const blocks = blocksPerRow(columns);
  const members = new Float32Array(columns * blocks);
  for (let column = 0; column < columns; column++) {
    members[column * blocks + Math.floor(column / blockElements)] = 1;
  }
  return graph.constant(tensor("float32", [columns, blocks], members), `block_members.${columns}`);
}

export type BlockOptions = {
  /** Whether weights that are stored in 4-bit blocks stay so; all others take 8 bits. */
  readonly keepsNibbles: boolean;
};

export function blockProducts(
  parameters: Parameters,
  { keepsNibbles }: BlockOptions,
): DecoderProducts {
  const { graph } = parameters;
  const members = new Map<number, Value>();

  const membersOf = (columns: number): Value => {
    const known = members.get(columns) ?? blockMembers(graph, columns);
    members.set(columns, known);
    return known;
  };

  const times = (x: Value, matrix: BlockMatrix, bias: Value | null): Value => {
    const { bits, rows, columns, steps, scales, shifts } = matrix;
    const attributes = { K: columns, N: rows, bits, block_size: blockElements };
    const product = x.op("com.microsoft.MatMulNBits", [steps, scales, null, null, bias], {
      ...attributes,
      accuracy_level: accuracyLevel,
    });
    return shifts === null ? product : product.add(x.matMul(membersOf(columns)).matMul(shifts));
  };

  const realTable = ({ name, rows, columns }: WordTable): RealMatrix => {
    const read = parameters.reader([{ name, shape: [rows, columns] }]);
    return { name, rows, columns, load: () => read()[0] ?? new Float32Array() };
  };

  return {
    project: (x, projection) => {
      const matrix = matrixOf(parameters, projection);
      const stored = keepsNibbles ? nibbleMatrix(parameters, matrix) : null;
      const bias = projection.bias ? biasOf(parameters, projection) : null;
      return times(x, stored ?? steppedMatrix(graph, matrix), bias);
    },
    embed: (ids, table) => {
      const { rows, columns, load } = realTable(table);
      const name = graph.uniqueName(table.name);
      const blocks = blocksPerRow(columns);
      const width = blocks * blockElements;
      const steps = graph.initializer({
        name,
        dtype: "uint8",
        shape: [rows, width],
        load: () => stepsOf(load(), columns),
      });
      const scales = graph.initializer({
        name: `${name}.scales`,
        dtype: "float32",
        shape: [rows, blocks],
        load: () => scalesOf(load(), columns),
      });
      const attributes = { bits: 8, block_size: blockElements, quantize_axis: 1 };
      const gathered = steps.op("com.microsoft.GatherBlockQuantized", [ids, scales], attributes);
      return width === columns ? gathered : gathered.slice(-1, 0, columns);
    },
    score: (x, table) => times(x, steppedMatrix(graph, realTable(table)), null),
  };
}
