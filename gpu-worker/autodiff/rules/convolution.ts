/**
 * Gradients of convolutions of stride 1: again convolutions, of the gradient by the transposed weights, and of the
 * input by the gradient, where the batch takes the place of the channels.
 */
import type { Value } from "../../onnx/value.ts";
import { reshapeLike } from "../backward-node.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

/** Channels of one of `groups` first: [channels / groups, batch, …]. */
function channelsFirst(value: Value, group: number, groups: number): Value {
  const each = Number(value.shape[1]) / groups;
  const part = groups === 1 ? value : value.slice(1, group * each, (group + 1) * each);
  return part.transpose(swapped(value));
}

function swapped({ shape }: Value): number[] {
  return shape.map((_, axis) => (axis < 2 ? 1 - axis : axis));
}

function byWeights(at: BackwardNode, groups: number, attributes: { pads: readonly number[] }) {
  const parts = Array.from({ length: groups }, (_, group) => {
    const x = channelsFirst(at.x(), group, groups);
    const product = x.op("Conv", [channelsFirst(at.dy(), group, groups)], attributes);
    return product.transpose(swapped(product));
  });
  const [first, ...others] = parts;
  if (first === undefined) return at.fail("it has no group");
  const whole = others.length === 0 ? first : first.op("Concat", others, { axis: 0 });
  return reshapeLike(at.builder, whole, at.x(1));
}

const conv: Rule = (at) => {
  if (at.ints("strides")?.some((stride) => stride !== 1)) at.fail("its stride has no gradient");
  const group = at.int("group", 1);
  const { rank } = at;
  const pads = at.ints("pads") ?? Array.from({ length: 2 * (rank - 2) }, () => 0);
  const positions = Array.from({ length: rank - 2 }, (_, axis) => axis + 2);
  return [
    () => reshapeLike(at.builder, at.dy().op("ConvTranspose", [at.x(1)], { group, pads }), at.x()),
    () => byWeights(at, group, { pads }),
    () => at.dy().sum([0, ...positions], false),
  ];
};

export const convolution = { Conv: conv } as const satisfies Readonly<Record<string, Rule>>;
