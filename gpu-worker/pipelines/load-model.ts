/**
 * Says what a model is, once it is in memory. An encoder has run one short row by then: what a session does at its
 * first run is done before anybody waits for it.
 */
import type { EncoderModel } from "../model/encoder-model.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { AnyModelPipeline, TaskContext } from "./pipeline.ts";

/** The smallest first. */
const outputNames: readonly OutputName[] = [
  "pooled",
  "logits",
  "start_logits",
  "last_hidden_state",
];

export const loadModel: AnyModelPipeline<"load-model"> = {
  kind: "any",
  async answer({ inputs }, model, context) {
    if (model.kind === "encoder") await runOnce(model, context);
    const { tasks, limits, digest } = model;
    const output = { tasks: [...tasks], limits, digest };
    return { outputs: inputs.map(() => output), usage: { promptTokens: 0 }, warnings: [] };
  },
};

async function runOnce(model: EncoderModel, context: Pick<TaskContext, "run">): Promise<void> {
  const made = new Set(model.session.outputs.map(({ name }) => name));
  const output = outputNames.find((name) => made.has(name));
  if (output === undefined) return;
  const { ids } = model.tokenizer.wrap([model.tokenizer.unknownId ?? 0]);
  const asked = model.head.name === "masked-lm" ? { positions: [0] } : {};
  await context.run(model, [{ ids, outputs: [output], ...asked }]);
}
