/** Whether the files of a tuning job can be trained on, as their check and the job's own words have it. */
import type { PublicError } from "#contract/errors.ts";
import type { ObjectReference } from "#contract/object-reference.ts";
import { taskProblem } from "#contract/training/forms.ts";
import { labelNamesProblem } from "#contract/training/label-names.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import { wordsOfProblem } from "#contract/training/problems.ts";
import { FileReport } from "#contract/training/report.ts";
import { TunedModelSource } from "#contract/training/tuned-model.ts";
import type { TuningOrder } from "#contract/training/tuning-job.ts";
import type { TuningFile } from "#contract/training/tuning-options.ts";
import { type Env, settingsOf } from "../environment.ts";
import type { StoredFile } from "../files/stored-file.ts";
import { openObject } from "../storage/object-store.ts";
import { baseProblem } from "./base-model.ts";
import type { NewTuningJob } from "./tuning-job.ts";

/** Null: they are still being checked. */
export type FilesVerdict = { task: FileReport["task"] } | { error: PublicError } | null;

/** And what is wrong with the names of its classes; null: nothing that can be told. */
type FileVerdict = { task: FileReport["task"]; namesProblem: string | null };

type Judged = Pick<
  NewTuningJob,
  "tenant" | "model" | "baseTasks" | "start" | "trainingFile" | "validationFile" | "options"
>;
type Field = "training_file" | "validation_file";

export async function judgeFiles(env: Env, job: Judged): Promise<FilesVerdict> {
  const training = await judgeFile(env, job, "training_file");
  if (training === null || "error" in training) return training;
  const { task } = training;
  const otherTask = taskProblem(job.options.task, task);
  if (otherTask !== null) return wrong(otherTask, "task");
  const mismatch = task === null ? null : baseProblem(job.model, job.baseTasks, task);
  if (mismatch !== null) return wrong(mismatch, "model");
  if (training.namesProblem !== null) return wrong(training.namesProblem, "label_names");
  if (job.validationFile === null) return training;
  const validation = await judgeFile(env, job, "validation_file");
  if (validation === null || "error" in validation) return validation;
  return validation.task === training.task
    ? training
    : wrong(
        `The validation file is for ${validation.task}, and the training file for ${training.task}. ` +
          "Write both in the same form.",
        "validation_file",
      );
}

export type FilesOfOrder = Pick<TuningOrder, "training" | "validation" | "start">;

/** The files as a worker fetches them. @returns an error where one is not there any more */
export async function filesOfOrder(
  env: Env,
  job: Judged,
): Promise<FilesOfOrder | { error: PublicError }> {
  const start = await startOfOrder(env, job);
  if (start !== null && "error" in start) return start;
  const training = await findFile(env, job, "training_file");
  if (training === null) return gone(job, "training_file");
  const found = { training: shown(training), validation: null, start };
  if (job.validationFile === null) return found;
  const validation = await findFile(env, job, "validation_file");
  if (validation === null) return gone(job, "validation_file");
  return { ...found, validation: shown(validation) };
}

/** @returns null: it begins with the base */
async function startOfOrder(
  env: Env,
  { tenant, start }: Judged,
): Promise<TuningOrder["start"] | { error: PublicError }> {
  if (start === undefined) return null;
  const found = await env.TUNED_MODELS.getByName(tenant).find(start.name);
  if (found === null)
    return wrong(`${start.name} is not there any more. Name another model.`, "model");
  return { kind: found.kind, source: TunedModelSource.parse(found) };
}

function shown({ filename, key, bytes, sha256 }: StoredFile): TuningFile {
  return { filename, object: { key, bytes, sha256 } };
}

async function judgeFile(
  env: Env,
  job: Judged,
  field: Field,
): Promise<FileVerdict | { error: PublicError } | null> {
  const file = await findFile(env, job, field);
  if (file === null) return gone(job, field);
  if (file.status === "uploaded") return null;
  const report = await reportOf(env, job.tenant, file.id);
  if (file.status === "processed") return goodFile(job, report);
  const words = report?.problems[0] === undefined ? null : wordsOfProblem(report.problems[0]);
  const reason = words ?? file.statusDetails ?? "it could not be checked";
  if (report === null) return wrong(`${file.id} cannot be used: ${reason}`, field);
  const hasGood = report.form !== null && report.examples >= trainingLimits.examplesMin;
  if (job.options.skipInvalid && hasGood) return goodFile(job, report);
  return wrong(
    `${report.bad_examples} of ${report.examples + report.bad_examples} examples of ${file.id} cannot be used; ` +
      `the first problem: ${reason}. ` +
      (hasGood
        ? "Correct them, or send skip_invalid: true to leave them out."
        : "Upload a file without it."),
    field,
  );
}

function goodFile({ options }: Judged, report: FileReport | null): FileVerdict {
  const { labelNames } = options;
  const isNamed = labelNames !== null && report !== null;
  return {
    task: report?.task ?? null,
    namesProblem: isNamed ? labelNamesProblem(labelNames, report) : null,
  };
}

function idOf(job: Judged, field: Field): string {
  return field === "training_file" ? job.trainingFile : (job.validationFile ?? "");
}

/** Of the key's files, one to train with. */
export async function findFile(env: Env, job: Judged, field: Field): Promise<StoredFile | null> {
  const file = await env.FILES.getByName(job.tenant).find(job.tenant, idOf(job, field));
  return file?.purpose === "fine-tune" ? file : null;
}

/** @returns null where there is none */
export async function reportOf(env: Env, tenant: string, file: string): Promise<FileReport | null> {
  const reference: ObjectReference | null = await env.FILES.getByName(tenant).report(file);
  const chunks = reference === null ? null : await openObject(settingsOf(env), reference);
  if (chunks === null) return null;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  return FileReport.parse(JSON.parse(text + decoder.decode()));
}

function wrong(message: string, param: string): { error: PublicError } {
  return { error: { code: "invalid_value", message, param } };
}

function gone(job: Judged, field: Field): { error: PublicError } {
  return wrong(`${idOf(job, field)} is not there any more. Upload it again.`, field);
}
