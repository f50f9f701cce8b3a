/** Files of examples as data of the task that their form is for. */
import { labelNamesProblem } from "#contract/training/label-names.ts";
import type { DataReport } from "#contract/training/report.ts";
import type { AnswerData } from "./answers.ts";
import { isDecoderForm, readDecoderData } from "./decoder-data.ts";
import type { DecoderData } from "./decoder-data.ts";
import { DataError, judgeFiles, unlabelledParts } from "./checked-data.ts";
import type { DataFiles } from "./checked-data.ts";
import { readSimilarityData } from "./similar-texts.ts";
import type { SimilarityData } from "./similar-texts.ts";
import type { TextData } from "./text-classes.ts";
import { isTextForm, readTextData } from "./text-data.ts";
import { isTokenForm, readTokenData } from "./token-data.ts";
import type { TokenData } from "./token-data.ts";

/** What encoders are trained with. */
export type EncoderData =
  | { readonly task: "text-classification" | "relation-extraction"; readonly data: TextData }
  | { readonly task: "token-classification"; readonly data: TokenData }
  | { readonly task: "question-answering"; readonly data: AnswerData }
  | { readonly task: "sentence-similarity"; readonly data: SimilarityData };

export type ReadingOptions = {
  readonly seed: number;
  /** Bad examples are left out, and not all of them refused. */
  readonly skipInvalid?: boolean;
  /** Of classes, by their index. Null, absent: those of the data, in their order. */
  readonly labelNames?: readonly string[] | null;
  /** What the files were found to hold, where that is known already and found good. */
  readonly report?: DataReport;
  /** Is told it, once they may be trained with. */
  readonly onReport?: (report: DataReport) => void;
  readonly signal: AbortSignal;
};

export type TrainingData =
  | EncoderData
  | { readonly task: DecoderData["task"]; readonly data: DecoderData };

export function isDecoderData(given: TrainingData): given is Exclude<TrainingData, EncoderData> {
  return given.task === "chat" || given.task === "completion" || given.task === "pretraining";
}

/** @throws DataError; what a source throws; the signal's reason */
export async function readTrainingData(
  files: DataFiles,
  options: ReadingOptions,
): Promise<TrainingData> {
  const { seed, skipInvalid = false, labelNames: names = null, signal } = options;
  const report = options.report ?? (await judgeFiles(files, { skipInvalid, signal }));
  options.onReport?.(report);
  const { form } = report.training;
  const problem = names === null ? null : labelNamesProblem(names, report.training);
  if (problem !== null) throw new DataError(problem, "label_names");
  if (isTextForm(form)) {
    const data = await readTextData(files, report, { form, names, seed, signal });
    return { task: form === "relation" ? "relation-extraction" : "text-classification", data };
  }
  if (isTokenForm(form)) {
    const data = await readTokenData(files, report, { form, names, seed, signal });
    return { task: "token-classification", data };
  }
  if (form === "question-answering") {
    return { task: form, data: await unlabelledParts(files, form, { seed, signal }) };
  }
  if (form === "pairs" || form === "similarity") {
    const data = await readSimilarityData(files, { form, seed, signal });
    return { task: "sentence-similarity", data };
  }
  if (isDecoderForm(form)) {
    const data = await readDecoderData(files, { form, seed, signal });
    return { task: data.task, data };
  }
  throw new DataError(
    `the examples are of the form ${form ?? "none"}, which is not trained: see docs/fine-tuning-data.md`,
  );
}
