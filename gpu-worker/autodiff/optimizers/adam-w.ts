/**
 * AdamW (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101), as torch.optim.AdamW computes it:
 * m' = β₁m + (1−β₁)g, v' = β₂v + (1−β₂)g², w' = w(1 − lr·decay) − lr/(1−β₁ᵗ) · m' / (√v'/√(1−β₂ᵗ) + ε).
 */
import type { Graph } from "../../onnx/graph.ts";
import type { GraphBuilder } from "../../onnx/graph-builder.ts";
import type { Value } from "../../onnx/value.ts";
import { updateParameters } from "./update-parameters.ts";
import type { ClippedOptions, Update, Updated } from "./update-parameters.ts";

export type AdamWOptions = ClippedOptions & {
  /** Of groups that do not say. Default 0.01. */
  readonly weightDecay?: number;
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly epsilon?: number;
};

/** Scalars of a step, f32 []. */
type Step = {
  readonly rate: Value;
  /** lr·√(1−β₂ᵗ)/(1−β₁ᵗ). */
  readonly corrected: Value;
  /** ε·√(1−β₂ᵗ). */
  readonly epsilon: Value;
};

/**
 * Adds the inputs `lr` f32 [] and `step` int64 [], counted from 1, and for each parameter NAME its states
 * `NAME.exp_avg` and `NAME.exp_avg_sq`; gives `NAME.next`, `NAME.exp_avg.next`, `NAME.exp_avg_sq.next` in place of
 * `NAME.grad`, and `grad_norm`.
 * @throws GraphError see updateParameters
 */
export function adamW(graph: Graph, options: AdamWOptions): Graph {
  const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01 } = options;
  return updateParameters(graph, options, (builder) => {
    const step = stepOf(builder, betas, epsilon);
    return {
      states: ["exp_avg", "exp_avg_sq"],
      update: (update) => adamUpdate(update, step, { betas, weightDecay }),
    };
  });
}

/** In float64: 1 − 0.999 would lose four digits. */
function stepOf(graph: GraphBuilder, betas: readonly [number, number], epsilon: number): Step {
  const rate = graph.input("lr", "float32", []);
  const step = graph.input("step", "int64", []).cast("float64");
  const one = graph.scalar("float64", 1);
  const [first, second] = betas.map((beta) =>
    one.sub(graph.scalar("float64", beta).op("Pow", [step])),
  );
  if (first === undefined || second === undefined) throw new TypeError("there are two betas");
  const root = second.sqrt();
  return {
    rate,
    corrected: rate.cast("float64").mul(root).div(first).cast("float32"),
    epsilon: root.mul(epsilon).cast("float32"),
  };
}

function adamUpdate(
  { group, parameter, gradient, clip, state }: Update,
  step: Step,
  { betas: [beta1, beta2], weightDecay }: Required<Pick<AdamWOptions, "betas" | "weightDecay">>,
): Updated {
  const { rate = 1, weightDecay: decay = weightDecay } = group;
  const scaled = (value: Value) => (rate === 1 ? value : value.mul(rate));
  const average = state("exp_avg")
    .mul(beta1)
    .add(gradient.mul(clip.mul(1 - beta1)));
  const squares = state("exp_avg_sq")
    .mul(beta2)
    .add(gradient.mul(gradient).mul(clip.mul(clip).mul(1 - beta2)));
  const change = average.mul(scaled(step.corrected)).div(squares.sqrt().add(step.epsilon));
  const left = scaled(step.rate).mul(-decay).add(1);
  const decayed = decay === 0 ? parameter : parameter.mul(left);
  return { "": decayed.sub(change), exp_avg: average, exp_avg_sq: squares };
}
