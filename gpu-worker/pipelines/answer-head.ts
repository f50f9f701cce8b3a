/**
 * Where an answer may begin and end, of each token of a row: the graph's own logits, or those of an adapter's
 * classifier over the states of a base that others share.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { RowResult } from "../model/encoder-row.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { LinearHead } from "../model/linear-head.ts";
import { linearLogits } from "./linear-head.ts";

export type EndLogits = Pick<RowResult, "start_logits" | "end_logits">;

export type AnswerHead = {
  readonly outputs: readonly OutputName[];
  /** Numbers of the outputs for one token. */
  readonly width: number;
  logitsOf(result: RowResult): EndLogits;
};

const ownHead: AnswerHead = {
  outputs: ["start_logits", "end_logits"],
  width: 2,
  logitsOf: (result) => result,
};

/** @throws CodedError where the model answers no questions */
export function answerHeadOf({ head, id }: Pick<EncoderModel, "head" | "id">): AnswerHead {
  if (head.name !== "question-answering") {
    throw new CodedError("invalid_value", `${id} answers no questions`, { param: "model" });
  }
  return head.linear === undefined ? ownHead : linearAnswerHead(head.linear);
}

function linearAnswerHead(linear: LinearHead): AnswerHead {
  const width = linear.weight.length / linear.bias.length;
  return {
    outputs: ["last_hidden_state"],
    width,
    logitsOf({ last_hidden_state: states = new Float32Array() }) {
      const tokens = states.length / width;
      const [start_logits, end_logits] = [new Float32Array(tokens), new Float32Array(tokens)];
      for (let token = 0; token < tokens; token += 1) {
        const vector = states.subarray(token * width, (token + 1) * width);
        const [start = 0, end = 0] = linearLogits(vector, linear);
        start_logits[token] = start;
        end_logits[token] = end;
      }
      return { start_logits, end_logits };
    },
  };
}
