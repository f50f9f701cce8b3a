/**
 * Gradients of look-ups: what was read is added where it was read from. Nothing flows into an index.
 *
 * Gather may read a row many times, as a table of embeddings is read, and GatherND is for rows that are read once: ONNX
 * Runtime's ScatterND adds on several threads, and of two that add to one row at once one may be lost
 * (https://github.com/microsoft/onnxruntime/issues/18048). ScatterElements adds one after the other.
 */
import type { GraphBuilder } from "../../onnx/graph-builder.ts";
import type { Value } from "../../onnx/value.ts";
import { isScatter, zerosLike } from "../backward-node.ts";
import type { BackwardNode, Contribution, Rule, Scatter } from "../backward-node.ts";
import { scatterOnto } from "../cotangents.ts";

/** Rows of a table whose gradient is a product: it takes less time than to add one after the other. */
const productRowsMax = 1_024;

/** Along the first axis. @param updates of what was read: [indices' axes, row's axes] */
function addedRows(
  graph: GraphBuilder,
  table: Value,
  { indices, updates }: Pick<Scatter, "indices" | "updates">,
): Contribution {
  // One row, read once.
  if (indices.shape.length === 0) return { indices: indices.unsqueeze([-1]), updates, axis: null };
  const rank = table.shape.length;
  const [rows] = table.shape;
  const flat = indices.reshape([-1]);
  const row = table.op("Shape").slice(0, 1, Math.max(1, rank));
  const each = updates.op("Reshape", [
    graph.op("Concat", [graph.integers([-1]), row], { axis: 0 }),
  ]);
  if (rank === 2 && typeof rows === "number" && rows <= productRowsMax) {
    const numbers = graph.op(
      "Range",
      [0, rows, 1].map((at) => graph.scalar("int64", at)),
    );
    // Some may be counted from the end.
    const read = flat.op("Mod", [graph.scalar("int64", rows)]);
    const isRead = numbers.unsqueeze([-1]).op("Equal", [read.unsqueeze([0])]);
    return isRead.cast(updates.dtype).op("MatMul", [each]);
  }
  const axes = Array.from({ length: rank - 1 }, (_, at) => at + 1);
  const spread = axes.length === 0 ? flat : flat.unsqueeze(axes);
  return { indices: spread.op("Expand", [each.op("Shape")]), updates: each, axis: 0 };
}

/** Along the first axis rows are added; along another one, the same on the transposed table. */
const gather: Rule = (at) => [
  () => {
    const { rank } = at;
    const axis = at.axis(at.int("axis", 0), rank);
    const indices = at.x(1).cast("int64");
    if (axis === 0) return addedRows(at.builder, at.x(), { indices, updates: at.dy() });
    const width = at.input(1).shape.length;
    const before = Array.from({ length: axis }, (_, i) => i);
    const looked = Array.from({ length: width }, (_, i) => axis + i);
    const after = Array.from({ length: rank - axis - 1 }, (_, i) => axis + width + i);
    const updates = at.dy().transpose([...looked, ...before, ...after]);
    const axes = Array.from({ length: rank }, (_, i) => i);
    const front = [axis, ...axes.filter((each) => each !== axis)];
    const table = at.x().transpose(front);
    const added = addedRows(at.builder, table, { indices, updates });
    const whole = isScatter(added) ? scatterOnto(zerosLike(at.builder, table), added) : added;
    return whole.transpose(axes.map((each) => front.indexOf(each)));
  },
  null,
];

function addedElements(at: BackwardNode, axis: number | null): Scatter {
  return { indices: at.x(1), updates: at.dy(), axis };
}

/** What is replaced gets nothing; what is added to, everything. Indices that repeat are for adding alone. */
const scatterND: Rule = (at) => {
  const attribute = at.attribute("reduction");
  const reduction = attribute?.kind === "string" ? attribute.value : "none";
  if (reduction !== "none" && reduction !== "add") at.fail(`"${reduction}" has no gradient`);
  const kept = () => at.dy().op("ScatterND", [at.x(1), zerosLike(at.builder, at.x(2))]);
  return [
    () => (reduction === "add" ? at.dy() : kept()),
    null,
    () => at.dy().op("GatherND", [at.x(1)]),
  ];
};

export const lookUps = {
  Gather: gather,
  GatherElements: (at) => [() => addedElements(at, at.axis(at.int("axis", 0), at.rank)), null],
  GatherND: (at) => [() => addedElements(at, null), null],
  ScatterND: scatterND,
} as const satisfies Readonly<Record<string, Rule>>;
