/** The linear layers of a decoder's block, by the products that they are computed in. */
import type { DecoderArchitecture } from "./decoder-architecture.ts";
import type { Projection, ProjectionKind } from "./decoder-products.ts";
import { headsOf } from "./feature-heads.ts";

/** @param index of the block */
export function projectionsOf(
  architecture: DecoderArchitecture,
  index: number,
): Readonly<Record<ProjectionKind, Projection>> {
  const { hidden, intermediate, biases, headWidth } = architecture;
  const queryHeads = headsOf(architecture.heads, headWidth);
  const keyHeads = headsOf(architecture.keyValueHeads, headWidth);
  const [attention, feedForward] = [`layers.${index}.self_attn`, `layers.${index}.mlp`];
  return {
    queryKeyValue: {
      kind: "queryKeyValue",
      block: index,
      inputs: hidden,
      layers: [
        { name: `${attention}.q_proj`, outputs: queryHeads },
        { name: `${attention}.k_proj`, outputs: keyHeads },
        { name: `${attention}.v_proj`, outputs: keyHeads },
      ],
      bias: biases.queryKeyValue,
    },
    attentionOutput: {
      kind: "attentionOutput",
      block: index,
      inputs: queryHeads,
      layers: [{ name: `${attention}.o_proj`, outputs: hidden }],
      bias: biases.attentionOutput,
    },
    gateUp: {
      kind: "gateUp",
      block: index,
      inputs: hidden,
      layers: ["gate_proj", "up_proj"].map((each) => ({
        name: `${feedForward}.${each}`,
        outputs: intermediate,
      })),
      bias: biases.feedForward,
    },
    down: {
      kind: "down",
      block: index,
      inputs: intermediate,
      layers: [{ name: `${feedForward}.down_proj`, outputs: hidden }],
      bias: biases.feedForward,
    },
  };
}
