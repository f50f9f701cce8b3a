/**
 * Questions that a passage answers, as the loop trains and judges them: by the two ends of the answer. Held-out answers
 * are chosen as the service chooses them by default; where the training examples have some without an answer, as it
 * does under `handle_impossible_answer`.
 */
import type { Parts } from "./checked-data.ts";
import { answersOf } from "../datasets/check-example.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { majorityPredictions } from "../evaluation/held-out.ts";
import { GatheredAnswers } from "../pipelines/question-answering.ts";
import { int64 } from "../tensor/tensor.ts";
import { encodeAnswers } from "./answer-rows.ts";
import type { AnswerExample, AnswerRow, AnswerRows } from "./answer-rows.ts";
import { answeringRows, picked } from "./served-rows.ts";
import type { HeldOutPart, TaskData, TuningData } from "./training-task.ts";

export type AnswerData = Parts<AnswerExample>;

function textsOf(example: AnswerExample): string[] {
  return (answersOf(example) ?? []).map(({ text }) => text);
}

function taskOf(rows: readonly AnswerRow[]): TaskData {
  const ends = (indices: readonly number[], end: 0 | 1) =>
    int64(
      [indices.length],
      indices.map((at) => rows[at]?.ends[end] ?? 0),
    );
  return {
    task: { name: "question-answering" },
    feeds: (indices) => ({ start_positions: ends(indices, 0), end_positions: ends(indices, 1) }),
  };
}

type Judged = AnswerRows & { readonly mayBeNone: boolean };

/** The words of the best answer to each question. */
async function answersFrom(
  { rows, passages, mayBeNone }: Judged,
  logits: readonly Float32Array[],
): Promise<string[]> {
  const parameters = { handle_impossible_answer: mayBeNone };
  const gathered = passages.map((passage) => new GatheredAnswers(passage, parameters));
  const slices = new TimeSlices();
  for (const [at, { window }] of rows.entries()) {
    const own = logits[at] ?? new Float32Array();
    const half = own.length / 2;
    const result = { start_logits: own.subarray(0, half), end_logits: own.subarray(half) };
    await gathered[window.input]?.read(window, result, slices);
  }
  return gathered.map((each, at) => {
    const [best] = each.best();
    return passages[at]?.text.slice(best?.start ?? 0, best?.end ?? 0) ?? "";
  });
}

function heldOutOf({ training, heldOut }: AnswerData, encoded: AnswerRows): HeldOutPart {
  const mayBeNone = training.some((example) => textsOf(example).length === 0);
  const commonest = training.map((example) => textsOf(example)[0] ?? "");
  const { rows } = encoded;
  return {
    rows,
    examples: heldOut.length,
    take: (examples) =>
      heldOutOf({ training, heldOut: picked(heldOut, examples) }, takeAnswers(encoded, examples)),
    served: (model) => answeringRows(rows, model),
    data: {
      ...taskOf(rows),
      outputs: ["start_logits", "end_logits"],
      judge: async (logits) => ({
        kind: "answers",
        texts: heldOut.map(({ question }) => question),
        expected: heldOut.map(textsOf),
        base: majorityPredictions(commonest, heldOut.length),
        tuned: { values: await answersFrom({ ...encoded, mayBeNone }, logits) },
      }),
    },
  };
}

/** The windows of these passages. */
function takeAnswers({ rows, passages }: AnswerRows, examples: readonly number[]): AnswerRows {
  const places = new Map(examples.map((example, at) => [example, at]));
  return {
    passages: picked(passages, examples),
    rows: rows.flatMap((row) => {
      const input = places.get(row.window.input);
      return input === undefined ? [] : [{ ...row, window: { ...row.window, input } }];
    }),
  };
}

export function answerTuning(data: AnswerData): TuningData {
  return {
    task: "question-answering",
    head: "question-answering",
    labels: [],
    outputs: 2,
    problem: "single_label",
    examples: data.training.length,
    async encode(model, signal) {
      const { rows } = await encodeAnswers(data.training, model, signal);
      const judged = await encodeAnswers(data.heldOut, model, signal);
      return {
        training: { rows, data: taskOf(rows) },
        heldOut: heldOutOf(data, judged),
      };
    },
  };
}
