/** Held-out rows asked of an encoder in service, and what its base could have said without training. */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { RowResult } from "../model/encoder-row.ts";
import type { OutputName } from "../model/encoder-session.ts";
import type { TaskContext } from "../pipelines/pipeline.ts";
import { zeroShotClassification } from "../pipelines/zero-shot-classification.ts";
import type { BaseAnswer, Measurement, Served, ServedForm } from "./measure-served.ts";
import { runInBatches } from "./run-in-batches.ts";
import { encoderAnswers } from "./served-answers.ts";
import type { ServedAnswers } from "./served-answers.ts";
import type { HeldOutPart } from "./training-task.ts";

export function encoderMeasurement(part: HeldOutPart): Measurement<HeldOutPart> {
  return {
    part,
    take: (of, examples) => of.take(examples),
    answers,
    timed: (of, model) => answers(of, model) ?? readAlone(of, model),
    async others(of, served, signal) {
      const own = await ownAnswer(of, served, signal);
      const asked = await zeroShotAnswer(of, served, signal);
      return [own, asked].filter((each) => each !== null);
    },
  };
}

function answers(part: HeldOutPart, model: ServedForm): ServedAnswers | null {
  if (model.kind !== "encoder") return null;
  const rows = part.served(model);
  return rows === null ? null : encoderAnswers(rows, model);
}

/** The smallest first. */
const outputNames: readonly OutputName[] = [
  "pooled",
  "logits",
  "start_logits",
  "last_hidden_state",
];

const noAnswer = () => new Float32Array();

/** Rows that are read and not answered. */
function readAlone({ rows }: HeldOutPart, model: ServedForm): ServedAnswers | null {
  if (model.kind !== "encoder" || model.head.name === "masked-lm") return null;
  const made = new Set(model.session.outputs.map(({ name }) => name));
  const output = outputNames.find((name) => made.has(name));
  if (output === undefined) return null;
  const asked = rows.map((row) => ({ ...row, outputs: [output] }));
  return encoderAnswers({ rows: asked, rowsEach: 1, read: noAnswer }, model);
}

function labelsOf({ head }: EncoderModel): string {
  return JSON.stringify("labels" in head ? head.labels : []);
}

/** What a base with the same head says: one that was tuned for the task before. */
async function ownAnswer(
  part: HeldOutPart,
  { base, tuned }: Served,
  signal: AbortSignal,
): Promise<BaseAnswer | null> {
  if (part.against !== undefined || base.kind !== "encoder" || tuned.kind !== "encoder")
    return null;
  const isAlike = base.head.name === tuned.head.name && labelsOf(base) === labelsOf(tuned);
  const own = isAlike ? answers(part, base) : null;
  if (own === null) return null;
  return { kind: "base_model", heldOut: await part.data.judge(await own.all(signal)) };
}

/** As the task zero-shot-classification answers by the labels' names alone. Null: it cannot, or not in this time. */
async function zeroShotAnswer(
  part: HeldOutPart,
  { base }: Served,
  signal: AbortSignal,
): Promise<BaseAnswer | null> {
  const { zeroShot } = part;
  if (zeroShot === undefined || base.kind !== "encoder") return null;
  const { inputs, labels } = zeroShot;
  const parameters = { candidate_labels: [...labels], truncate: true };
  const task = "zero-shot-classification" as const;
  const request = { task, inputs: [...inputs], parameters };
  try {
    const { outputs } = await zeroShotClassification.answer(request, base, contextOf(signal));
    const logits = outputs.map((scores) => {
      const byLabel = new Map(scores.map(({ label, score }) => [label, score]));
      return Float32Array.from(labels, (label) => Math.log(byLabel.get(label) ?? 0));
    });
    return { kind: "zero_shot", heldOut: await part.data.judge(logits) };
  } catch (error) {
    if (error instanceof CodedError || signal.aborted) return null;
    throw error;
  }
}

const none = () => Promise.reject(new CodedError("model_not_found", "There is no other model"));

/** One request, and no other beside it. */
function contextOf(signal: AbortSignal): TaskContext {
  return {
    signal,
    async run(model, rows) {
      const results: RowResult[] = [];
      await runInBatches(rows, model, signal, (result, at) => {
        results[at] = result;
      });
      return results;
    },
    charge: () => undefined,
    reserveOutputs: () => Promise.resolve(() => undefined),
    reserveResult: () => Promise.resolve(),
    acquire: none,
    classifier: none,
  };
}
