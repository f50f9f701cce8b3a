/**
 * Gradients of what normalises along an axis: softmax, and the normalisations of layers by the statistics of their rows
 * that the forward part has kept.
 */
import type { Value } from "../../onnx/value.ts";
import { scatterOnto } from "../cotangents.ts";
import type { BackwardNode, Rule } from "../backward-node.ts";

const softmax: Rule = (at) => [
  () => {
    const axis = at.axis(at.int("axis", -1), at.rank);
    const weighted = at.dy().mul(at.y());
    return weighted.sub(at.y().mul(weighted.sum([axis], true)));
  },
];

/**
 * dy − softmax·Σdy. Where only some elements were looked up, as a loss does, the softmax is scaled in place and they
 * are added to it: over a large vocabulary there is no other array of the logits' size.
 */
const logSoftmax: Rule = (at) => [
  () => {
    const axis = at.axis(at.int("axis", -1), at.rank);
    const softmaxOf = () => at.y().op("Exp");
    const scatter = at.scatter();
    if (scatter !== null && scatter.axis === axis) {
      const total = scatter.updates.sum([axis], true).neg();
      return scatterOnto(softmaxOf().mul(total), scatter);
    }
    return at.dy().sub(softmaxOf().mul(at.dy().sum([axis], true)));
  },
];

function expectLastAxis(at: BackwardNode): void {
  if (at.axis(at.int("axis", -1), at.rank) !== at.rank - 1)
    at.fail("only the last axis has a gradient");
}

/** Along the last axis, which stays, 1 long. */
function meanOf(at: BackwardNode, value: Value): Value {
  return value.op("ReduceMean", [at.builder.integers([-1])], { keepdims: 1 });
}

/** x̂ = (x − μ)·r; dx = r·(g − mean(g) − x̂·mean(g·x̂)) for g = dy·γ. */
const layerNorm: Rule = (at) => {
  expectLastAxis(at);
  const normed = at.x().sub(at.y(1)).mul(at.y(2));
  return [
    () => {
      const g = at.dy().mul(at.x(1));
      return g
        .sub(meanOf(at, g))
        .sub(normed.mul(meanOf(at, g.mul(normed))))
        .mul(at.y(2));
    },
    () => at.dy().mul(normed),
    () => at.dy(),
  ];
};

/** Without a mean: dx = r·(g − x̂·mean(g·x̂)), x̂ = x·r. */
const rmsNorm: Rule = (at) => {
  expectLastAxis(at);
  const normed = at.x().mul(at.y(1));
  return [
    () => {
      const g = at.dy().mul(at.x(1));
      return g.sub(normed.mul(meanOf(at, g.mul(normed)))).mul(at.y(1));
    },
    () => at.dy().mul(normed),
  ];
};

export const normalisations = {
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  LayerNormalization: layerNorm,
  SimplifiedLayerNormalization: rmsNorm,
} as const satisfies Readonly<Record<string, Rule>>;
