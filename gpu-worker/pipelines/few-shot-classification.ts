/**
 * Classes taught by labelled examples: logistic regression on their sentence vectors, of length 1, scored by softmax.
 * The classifier is kept under the model and the examples, whatever their order; later requests neither read them nor
 * pay for them.
 */
import { createHash } from "node:crypto";
import type { TaskParameters } from "#contract/tasks.ts";
import { fitHead } from "../fit/fit-head.ts";
import { softmax } from "../tensor/activations.ts";
import { toUnitLength } from "../tensor/vectors.ts";
import { InputEncoder } from "./encode-input.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { LinearLayer } from "../model/linear-head.ts";
import { linearLogits } from "./linear-head.ts";
import type { EncoderPipeline, TaskContext } from "./pipeline.ts";
import { taskPrompt } from "./prompts.ts";
import { readRows } from "./read-rows.ts";
import { rankLabels } from "./scores.ts";
import { ResultSize, labelsBytes } from "./result-size.ts";
import { TokenCounter, namedInputs, rowsOf, sentenceOf } from "./sentence-request.ts";

/**
 * Strength of the regularisation. Of those tried with 2, 8 and 20 examples a class of news, intents and reviews, the
 * best calibrated: its scores were closest to how often it was right. The order of the classes hardly depends on it.
 */
const l2 = 0.03;

type Parameters = TaskParameters<"few-shot-classification">;
type Example = Parameters["examples"][number] & {
  /** As it stands in the request. */
  name: string;
};

export const fewShotClassification: EncoderPipeline<"few-shot-classification"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const { truncate = false, k } = parameters;
    sentenceOf(model);
    const prompt = taskPrompt(model, "classification");
    const rules = { truncate, truncationDirection: "right", prompt } as const;
    const encoder = new InputEncoder(model, rules, context.signal);
    const counter = new TokenCounter();
    const rows = await rowsOf(namedInputs(inputs), encoder, { counter, outputs: ["pooled"] });
    const examples = inOrder(parameters.examples);
    const labels = [...new Set(examples.map(({ label }) => label))];
    const size = new ResultSize(context, { param: "k", fix: "Lower k, or send fewer inputs." });
    await size.expect(inputs.length * labelsBytes(labels, k));
    const head = await context.classifier(keyOf(examples, truncate, model), () =>
      fit(examples, labels, { model, context, encoder, counter }),
    );
    return {
      outputs: await readRows(rows, model, context, {
        floatsOf: () => head.weight.length / labels.length,
        read: ({ pooled }) => rankLabels(labels, softmax(linearLogits(unit(pooled), head)), k),
      }),
      usage: counter.usage(),
      warnings: counter.warnings(model.limits.maxTokens),
    };
  },
};

/** By label, then text: the last digits of a sum depend on the order of its terms. */
function inOrder(examples: Parameters["examples"]): Example[] {
  const named = examples.map((each, at) => ({ ...each, name: `parameters.examples[${at}].text` }));
  return named.toSorted((a, b) => compare(a.label, b.label) || compare(a.text, b.text));
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function keyOf(examples: readonly Example[], truncate: boolean, { digest }: EncoderModel): string {
  const content = [digest, truncate, examples.map(({ label, text }) => [label, text])];
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

type FitContext = {
  model: EncoderModel;
  context: TaskContext;
  encoder: InputEncoder;
  counter: TokenCounter;
};

async function fit(
  examples: readonly Example[],
  labels: readonly string[],
  { model, context, encoder, counter }: FitContext,
): Promise<LinearLayer> {
  const inputs = examples.map(({ text, name }) => ({ input: text, name }));
  const rows = await rowsOf(inputs, encoder, { counter, outputs: ["pooled"] });
  const vectors = (await context.run(model, rows)).map(({ pooled }) => unit(pooled));
  const width = vectors[0]?.length ?? 0;
  const features = new Float32Array(vectors.length * width);
  for (const [row, vector] of vectors.entries()) features.set(vector, row * width);
  const classes = Uint16Array.from(examples, ({ label }) => labels.indexOf(label));
  return fitHead(
    { features, width, classes },
    { classCount: labels.length, l2, standardise: "common", signal: context.signal },
  );
}

function unit(pooled: Float32Array = new Float32Array()): Float32Array {
  return toUnitLength(pooled);
}
