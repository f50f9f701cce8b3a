/**
 * The classes of a text, or of a pair of texts, each with its score. Logits become scores as in transformers'
 * TextClassificationPipeline: unchanged for a regression, by a sigmoid where classes do not exclude each other or there
 * is only one, else by softmax.
 */
import { CodedError } from "#contract/errors.ts";
import { sigmoid, softmax } from "../tensor/activations.ts";
import { InputEncoder } from "./encode-input.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { rankLabels } from "./scores.ts";
import { ResultSize, labelsBytes } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";
import { type SequenceHead, sequenceHeadOf } from "./sequence-head.ts";
import { rowsOfTexts } from "./text-pairs.ts";

export const textClassification: EncoderPipeline<"text-classification"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const head = sequenceHeadOf(model);
    if (head === null) {
      throw new CodedError("invalid_value", `${model.id} classifies no texts`, { param: "model" });
    }
    const { truncate = false, top_k: topK } = parameters;
    const rules = { truncate, truncationDirection: "right", prompt: "" } as const;
    const encoder = new InputEncoder(model, rules, context.signal);
    const counter = new TokenCounter();
    const { labels, outputs } = head;
    const { softPrompt } = model;
    const rows = await rowsOfTexts(inputs, encoder, { counter, outputs, softPrompt });
    const fix = "Lower top_k, or send fewer inputs.";
    const size = new ResultSize(context, { param: "top_k", fix });
    await size.expect(inputs.length * labelsBytes(labels, topK));
    const toScores = functions[parameters.function_to_apply ?? functionOf(head)];
    return {
      outputs: await readRows(rows, model, context, {
        floatsOf: head.floatsOf,
        read: (result) => rankLabels(labels, toScores(head.logitsOf(result)), topK),
      }),
      usage: counter.usage(),
      warnings: counter.warnings(model.limits.maxTokens),
    };
  },
};

const functions = {
  softmax,
  sigmoid: (logits: Float32Array) => Array.from(logits, sigmoid),
  none: (logits: Float32Array) => Array.from(logits),
};

function functionOf({ problem, labels }: SequenceHead): keyof typeof functions {
  if (problem === "regression") return "none";
  return problem === "multi_label" || labels.length === 1 ? "sigmoid" : "softmax";
}
