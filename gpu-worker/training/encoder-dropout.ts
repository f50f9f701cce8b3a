/** Dropout of an encoder while it trains, drawn anew for each step from the input `seed`, int64 []. */
import { seededDropout } from "../autodiff/dropout.ts";
import type { Dropout } from "../architectures/layer-forms.ts";
import type { GraphBuilder } from "../onnx/graph-builder.ts";

/** Part of the elements that is dropped, by place: see `Dropout`. */
export type DropoutRates = Readonly<Record<keyof Dropout, number>>;

/** BERT's, with which most encoders were trained. */
export const usualRates: DropoutRates = { hidden: 0.1, attention: 0.1, head: 0.1 };

/** As `TrainingOptions` takes it. */
export function encoderDropout(rates: DropoutRates): (graph: GraphBuilder) => Dropout {
  return (graph) => {
    const drop = seededDropout(graph);
    return {
      hidden: (x) => drop(x, rates.hidden),
      attention: (x) => drop(x, rates.attention),
      head: (x) => drop(x, rates.head),
    };
  };
}
