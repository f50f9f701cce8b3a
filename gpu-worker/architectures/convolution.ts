/**
 * The convolution along a text that DeBERTa's larger sizes compute over the embedded tokens.
 */
import type { Value } from "../onnx/value.ts";
import { activate } from "./activation.ts";
import type { Convolution } from "./architecture.ts";
import type { Parameters } from "./parameters.ts";
import type { TokenRows } from "./token-rows.ts";

export type ConvolutionInputs = {
  readonly convolution: Convolution;
  readonly rows: TokenRows;
  /** f32 [batch, sequence], 1 for a token: what is read beside a text is 0. */
  readonly mask: Value;
};

/** `x` [tokens, hidden] → the same. */
export function convolve(
  parameters: Parameters,
  x: Value,
  { convolution, rows, mask }: ConvolutionInputs,
): Value {
  const { graph } = parameters;
  const { name, width, groups, activation } = convolution;
  const hidden = Number(x.shape[1]);
  const weight = parameters.tensor(`${name}.weight`, [hidden, hidden / groups, width]);
  const bias = parameters.tensor(`${name}.bias`, [hidden]);
  const before = Math.floor((width - 1) / 2);
  const shape = graph.op("Concat", [rows.gridShape, graph.integers([hidden])], { axis: 0 });
  const sums = rows
    .toGrid(x)
    .op("Reshape", [shape])
    .transpose([1, 2, 0])
    .mul(mask.unsqueeze([1]))
    .op("Conv", [weight, bias], { group: groups, pads: [before, before] });
  const back = rows.fromGrid(sums.transpose([2, 0, 1]).reshape([-1, hidden]));
  return activate(activation, back);
}
