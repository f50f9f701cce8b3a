/** Heads on a loaded sentence encoder, as adapters put them there: arbitrary numbers at their real cost. */
import type { EncoderModel } from "../../gpu-worker/model/encoder-model.ts";
import type { Random } from "../../contract/random.ts";

export function withLinearHead(base: EncoderModel, labels: number, random: Random): EncoderModel {
  const features = base.limits.dimensions ?? 0;
  return {
    ...base,
    id: `${base.id}-head-${labels}`,
    tasks: ["text-classification"],
    head: {
      name: "sequence-classification",
      labels: Array.from({ length: labels }, (_, index) => `label ${index}`),
      problem: "single_label",
      linear: {
        pooling: "mean",
        weight: Float32Array.from({ length: labels * features }, () => random() - 0.5),
        bias: Float32Array.from({ length: labels }, () => random() - 0.5),
      },
    },
  };
}
