/** Plans tuning jobs, one after the other: each reads its files to the end. */
import type { FilePipeline } from "./pipeline.ts";

export const tuningPlan: FilePipeline<"tuning-plan"> = {
  kind: "file",
  async answer({ inputs }, { planTuning, onProgress }) {
    const plans = [];
    for (const input of inputs) {
      const { training, validation } = input;
      const total = Math.max(training.object.bytes, validation?.object.bytes ?? 0);
      plans.push(await planTuning(input, (bytes) => onProgress(Math.min(bytes, total), total)));
    }
    return plans;
  },
};
