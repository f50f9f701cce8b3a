/**
 * Gradients of look-ups: what was read is added where it was read from. Nothing flows into an index.
 */
import { zerosLike } from "../backward-node.ts";
import type { BackwardNode, Rule, Scatter } from "../backward-node.ts";
import { scatterOnto } from "../cotangents.ts";

/** Along the first axis a scatter; along another one, the same on the transposed table. */
const gather: Rule = (at) => [
  () => {
    const { rank } = at;
    const axis = at.axis(at.int("axis", 0), rank);
    const indices = at.x(1).cast("int64").unsqueeze([-1]);
    if (axis === 0) return { indices, updates: at.dy(), axis: null };
    const width = at.input(1).shape.length;
    const before = Array.from({ length: axis }, (_, i) => i);
    const looked = Array.from({ length: width }, (_, i) => axis + i);
    const after = Array.from({ length: rank - axis - 1 }, (_, i) => axis + width + i);
    const updates = at.dy().transpose([...looked, ...before, ...after]);
    const axes = Array.from({ length: rank }, (_, i) => i);
    const front = [axis, ...axes.filter((each) => each !== axis)];
    const zeros = zerosLike(at.builder, at.x().transpose(front));
    return scatterOnto(zeros, { indices, updates, axis: null }).transpose(
      axes.map((each) => front.indexOf(each)),
    );
  },
  null,
];

function added(at: BackwardNode, axis: number | null): Scatter {
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
  GatherElements: (at) => [() => added(at, at.axis(at.int("axis", 0), at.rank)), null],
  GatherND: (at) => [() => added(at, null), null],
  ScatterND: scatterND,
} as const satisfies Readonly<Record<string, Rule>>;
