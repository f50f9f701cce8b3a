/**
 * Gradient descent with momentum, as torch.optim.SGD computes it: g' = g + decay·w, b' = μb + g', w' = w − lr·b', or
 * w − lr·(g' + μb') (Nesterov).
 */
import type { Graph } from "../../onnx/graph.ts";
import { updateParameters } from "./update-parameters.ts";
import type { ClippedOptions, Update, Updated } from "./update-parameters.ts";
import type { Value } from "../../onnx/value.ts";

export type SgdOptions = ClippedOptions & {
  /** Default 0.9. */
  readonly momentum?: number;
  readonly nesterov?: boolean;
  /** Of groups that do not say. Added to the gradient, after the clip. Default 0. */
  readonly weightDecay?: number;
};

/**
 * Adds the input `lr` f32 [], and for each parameter NAME its state `NAME.momentum_buffer`; gives `NAME.next` and
 * `NAME.momentum_buffer.next` in place of `NAME.grad`, and `grad_norm`.
 * @throws GraphError see updateParameters
 */
export function sgd(graph: Graph, options: SgdOptions): Graph {
  const { momentum = 0.9, nesterov = false, weightDecay = 0 } = options;
  return updateParameters(graph, options, (builder) => {
    const rate = builder.input("lr", "float32", []);
    return {
      states: ["momentum_buffer"],
      update: (update) => sgdUpdate(update, rate, { momentum, nesterov, weightDecay }),
    };
  });
}

function sgdUpdate(
  { group, parameter, gradient, clip, state }: Update,
  rate: Value,
  options: Required<Pick<SgdOptions, "momentum" | "nesterov" | "weightDecay">>,
): Updated {
  const { momentum, nesterov, weightDecay } = options;
  const { rate: factor = 1, weightDecay: decay = weightDecay } = group;
  const clipped = gradient.mul(clip);
  const decayed = decay === 0 ? clipped : clipped.add(parameter.mul(decay));
  const buffer = state("momentum_buffer").mul(momentum).add(decayed);
  const direction = nesterov ? decayed.add(buffer.mul(momentum)) : buffer;
  const change = direction.mul(factor === 1 ? rate : rate.mul(factor));
  return { "": parameter.sub(change), momentum_buffer: buffer };
}
