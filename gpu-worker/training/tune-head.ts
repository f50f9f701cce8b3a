/**
 * The strategy `head`: the vectors of the frozen base are computed once, and a linear classifier is fitted on them
 * (fit/). What comes out is an adapter folder, which shares its base's batches with every other one.
 */
import { mkdir, rm, stat } from "node:fs/promises";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { type AdapterHead, writeAdapter } from "../checkpoints/adapter-folder.ts";
import { chooseL2, usualL2 } from "../fit/choose-l2.ts";
import type { Trial } from "../fit/choose-l2.ts";
import { fitHead, type FittedHead } from "../fit/fit-head.ts";
import type { LabelledRows } from "../fit/softmax-loss.ts";
import { linearLogits } from "../pipelines/linear-head.ts";
import type { Runtime } from "../runtime/session.ts";
import { encodeFeatures } from "./encode-features.ts";
import { encoderMeasurement } from "./measure-encoder.ts";
import type { TextData, TextPart } from "./text-classes.ts";
import { stateFolderOf } from "./train-in-folder.ts";
import type { PreparedTuning } from "./prepare-encoder.ts";
import { tuningCard } from "./tuning-card.ts";
import { finishTuning } from "./training-report.ts";
import type { FinishingRun } from "./training-report.ts";
import { TuningError } from "./tuning-error.ts";

export type HeadEvents = {
  /** Texts that the base has read. */
  onRead(done: number, total: number): void;
  onTrial(trial: Trial): void;
};

export type HeadOptions = FinishingRun & {
  readonly prepared: PreparedTuning;
  readonly data: TextData;
  /** Of the tuned model. */
  readonly name: string;
  readonly runtime: Runtime;
  readonly events: HeadEvents;
};

/** @throws TuningError for examples that no such head is fitted on */
export async function tuneHead(options: HeadOptions): Promise<TrainingReport> {
  const { prepared, data, name, out, events, signal } = options;
  const { id, checkpoint, upstream } = prepared;
  const [trained, heldOut] = [classesOf(data.training), classesOf(data.heldOut)];
  const vectors = await encode(options);
  const { width } = vectors;
  const end = trained.length * width;
  const rowsOf = (features: Float32Array, classes: Uint16Array): LabelledRows => ({
    features,
    width,
    classes,
  });
  const judged = rowsOf(vectors.features.subarray(end), heldOut);
  const { head, l2, trials } = await chooseL2(
    rowsOf(vectors.features.subarray(0, end), trained),
    judged,
    {
      classCount: data.labels.length,
      candidates: usualL2,
      signal,
      onTrial: (trial) => events.onTrial(trial),
    },
  );
  const adapter: AdapterHead = {
    task: "text-classification",
    labels: [...data.labels],
    problem: "single_label",
    pooling: vectors.pooling,
    maxLength: checkpoint.limits.maxTokens,
    licence: null,
    entityModel: null,
    ...upstream,
    ...head,
  };
  const how = `A linear classifier on the frozen base's vectors, L2 ${l2}`;
  const files = { library: "peft", wordShapes: false } as const;
  const { heldOut: part } = prepared.encoded;
  return await finishTuning(
    {
      facts: {
        task: "text-classification",
        base_model: id,
        tuned_model: name,
        examples: trained.length,
        stopped: { reason: "completed", detail: `L2 ${l2}, the best of ${trials.length}` },
        steps: [],
        size: {
          base_bytes: (await stat(checkpoint.weightsFile)).size,
          tuned_bytes: 4 * (head.weight.length + head.bias.length),
        },
      },
      trained: {
        heldOut: await part.data.judge(logitsOf(head, judged)),
        base_kind: "majority",
      },
      curve: {
        labels: trained.length,
        rows: trained.length,
        seconds: 0,
        trainWith: async ({ examples }) => {
          const rows = rowsAt(rowsOf(vectors.features, trained), examples);
          const fitted = await fitHead(rows, { classCount: data.labels.length, l2, signal });
          return await part.data.judge(logitsOf(fitted, judged));
        },
      },
      measurement: encoderMeasurement(part),
      cardOf: (report) => tuningCard({ report, how, licence: null, labels: data.labels, ...files }),
      write: (card) => writeAdapter(out, adapter, card),
    },
    options,
  );
}

/** Of all examples, those that are held out last. */
async function encode({ prepared, out, runtime, events, signal }: HeadOptions) {
  const { training, heldOut } = prepared.encoded;
  const rows = [...training.rows, ...heldOut.rows];
  const folder = stateFolderOf(out);
  await mkdir(folder, { recursive: true });
  try {
    const tools = { form: { form: "f32", saturates: false }, runtime, folder, signal } as const;
    return await encodeFeatures(rows, prepared, tools, (done) => events.onRead(done, rows.length));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether a head can be fitted on them. */
export function isHeadData({ training, heldOut }: TextData): boolean {
  const texts = [...training.texts, ...heldOut.texts];
  const isPlain = texts.every((text) => typeof text === "string");
  return training.targets.problem === "single_label" && isPlain;
}

function classesOf({ texts, targets }: TextPart): Uint16Array {
  if (targets.problem !== "single_label") {
    throw new TuningError(
      `a head is fitted on one label each, not on ${targets.problem}: use --strategy full`,
      { param: "strategy" },
    );
  }
  if (texts.some((text) => typeof text !== "string")) {
    throw new TuningError("a head reads one text at a time, not pairs: use --strategy full", {
      param: "strategy",
    });
  }
  return Uint16Array.from(targets.classes);
}

/** Those of these indices. */
function rowsAt({ features, width, classes }: LabelledRows, rows: readonly number[]): LabelledRows {
  const some = new Float32Array(rows.length * width);
  for (const [at, row] of rows.entries()) {
    some.set(features.subarray(row * width, (row + 1) * width), at * width);
  }
  return { features: some, width, classes: Uint16Array.from(rows, (row) => classes[row] ?? 0) };
}

function logitsOf(head: FittedHead, { features, width, classes }: LabelledRows): Float32Array[] {
  return Array.from(classes, (_, row) =>
    linearLogits(features.subarray(row * width, (row + 1) * width), head),
  );
}
