/**
 * The strategy `head`: the vectors of the frozen base are computed once, and a linear classifier is fitted on them
 * (fit/). What comes out is an adapter folder, which shares its base's batches with every other one.
 */
import path from "node:path";
import type { TrainingReport } from "#contract/training/evaluation-report.ts";
import { type AdapterHead, writeAdapter } from "../checkpoints/adapter-folder.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { makeReport } from "../evaluation/make-report.ts";
import { chooseL2, usualL2 } from "../fit/choose-l2.ts";
import type { FittedHead } from "../fit/fit-head.ts";
import type { LabelledRows } from "../fit/softmax-loss.ts";
import { linearLogits } from "../pipelines/linear-head.ts";
import type { Runtime } from "../runtime/session.ts";
import { heldOutTexts } from "../training/text-classes.ts";
import type { TextData, TextPart } from "../training/text-classes.ts";
import { tuningCard } from "../training/tuning-card.ts";
import { writeReport } from "../training/write-report.ts";
import { type BaseModel, describeBase } from "./base-model.ts";
import { encodeFeatures } from "./encode-features.ts";
import { percent } from "./head-card.ts";
import type { ProgressBar } from "./progress-bar.ts";

export type HeadTools = {
  settings: CatalogSettings;
  runtime: Runtime;
  signal: AbortSignal;
  bar: ProgressBar;
  base: BaseModel;
  data: TextData;
  say(line: string): void;
};

/** @throws Error for examples that no such head is fitted on */
export async function tuneHead(
  { out }: { out: string },
  tools: HeadTools,
): Promise<TrainingReport> {
  const { data, base, signal, say } = tools;
  const { id } = base.known;
  const [trained, heldOut] = [plainRows(data.training), plainRows(data.heldOut)];
  const texts = [...trained.texts, ...heldOut.texts];
  say(`head: a linear classifier on the vectors of ${id}, of ${trained.texts.length} examples`);
  const vectors = await encode(texts, tools);
  const { width } = vectors;
  const end = trained.texts.length * width;
  const rowsOf = (features: Float32Array, classes: Uint16Array): LabelledRows => ({
    features,
    width,
    classes,
  });
  const judged = rowsOf(vectors.features.subarray(end), heldOut.classes);
  const { head, l2, trials } = await chooseL2(
    rowsOf(vectors.features.subarray(0, end), trained.classes),
    judged,
    {
      classCount: data.labels.length,
      candidates: usualL2,
      signal,
      onTrial: (trial) => say(`L2 ${trial.l2}: ${percent(trial.accuracy)}`),
    },
  );
  const report = makeReport({
    task: "text-classification",
    base_model: id,
    tuned_model: path.basename(path.resolve(out)),
    base_kind: "majority",
    form: "f32",
    training_rows: trained.texts.length,
    stopped: { reason: "completed", detail: `L2 ${l2}, the best of ${trials.length}` },
    heldOut: heldOutTexts(data).judge(logitsOf(head, judged)),
    target: null,
    steps: [],
    sizes: [],
    latency: { base: null, tuned: null },
    size: { base_bytes: null, tuned_bytes: 4 * (head.weight.length + head.bias.length) },
  });
  const adapter: AdapterHead = {
    task: "text-classification",
    labels: [...data.labels],
    problem: "single_label",
    pooling: vectors.sentence?.pooling ?? "mean",
    maxLength: vectors.limits.maxTokens,
    licence: null,
    entityModel: null,
    ...(await describeBase(base, signal)),
    ...head,
  };
  const how = `A linear classifier on the frozen base's vectors, L2 ${l2}`;
  await writeReport(out, report, []);
  await writeAdapter(out, adapter, tuningCard({ report, how, licence: null, labels: data.labels }));
  return report;
}

function encode(texts: readonly string[], { settings, runtime, base, signal, bar }: HeadTools) {
  const words = `Reading ${texts.length} texts`;
  bar.show(words, 0, texts.length);
  const frozen = { ...settings, form: "f32", device: "cpu" } as const;
  const tools = { settings: frozen, runtime, base: base.known.id, signal };
  return encodeFeatures(texts, tools, (done) => bar.show(words, done, texts.length));
}

/** Whether a head can be fitted on them. */
export function isHeadData({ training, heldOut }: TextData): boolean {
  const texts = [...training.texts, ...heldOut.texts];
  const isPlain = texts.every((text) => typeof text === "string");
  return training.targets.problem === "single_label" && isPlain;
}

function plainRows({ texts, targets }: TextPart): { texts: string[]; classes: Uint16Array } {
  if (targets.problem !== "single_label") {
    throw new Error(
      `a head is fitted on one label each, not on ${targets.problem}: use --strategy full`,
    );
  }
  const plain = texts.filter((text) => typeof text === "string");
  if (plain.length < texts.length) {
    throw new Error("a head reads one text at a time, not pairs: use --strategy full");
  }
  return { texts: plain, classes: Uint16Array.from(targets.classes) };
}

function logitsOf(head: FittedHead, { features, width, classes }: LabelledRows): Float32Array[] {
  return Array.from(classes, (_, row) =>
    linearLogits(features.subarray(row * width, (row + 1) * width), head),
  );
}
