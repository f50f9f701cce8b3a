/**
 * One step of a re-tune: the training file is written, a job is created, its end awaited, and the alias moved where the
 * report says better. What is begun has its id kept before, so that a step taken again does nothing twice.
 */
import { errorTable, type PublicError } from "#contract/errors.ts";
import { TrainingReport } from "#contract/training/evaluation-report.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import { TunedModelName } from "#contract/training/tuned-model.ts";
import type { TuningJobId } from "#contract/training/tuning-job.ts";
import { type Env, settingsOf } from "../environment.ts";
import { formatFileId, type StoredFile } from "../files/stored-file.ts";
import { isOver } from "../fine-tuning/job-course.ts";
import {
  formatTunedModelName,
  formatTuningJobId,
  type NewTuningJob,
  type TuningJob,
} from "../fine-tuning/tuning-job.ts";
import { randomHex } from "../http/random-hex.ts";
import { openObject } from "../storage/object-store.ts";
import { LeftOut } from "./left-out.ts";
import { judge, type Retune, type RetuneRun } from "./retune.ts";
import { writeDataSet } from "./write-data-set.ts";

/** `why` is told. `again`: the next step at once; `wait`: this one later; `over`: it ended, well or not. */
export type Step =
  | { kind: "again"; run: RetuneRun; why: string | null }
  | { kind: "wait"; why: string | null }
  | { kind: "over"; level: "info" | "warn"; message: string };

/** The corrections that it learns from. */
export type Corrections = { bytes: number; lines: Iterable<Uint8Array> };

/** A file that was made for a re-tune is kept so long. */
const keptMs = 30 * 86_400_000;
/** Jobs of a re-tune that may fail on our side before the last. */
const failuresMax = 2;
const reportBytesMax = 8 * 2 ** 20;
const { fileBytesMax } = trainingLimits;

export function newRun(begun: Pick<RetuneRun, "from" | "upTo" | "begunAt">): RetuneRun {
  const [file, job] = [formatFileId(randomHex()), formatTuningJobId(randomHex())];
  return { ...begun, step: "write", file, job };
}

/** The job that a tuned model came of. */
export function jobOfModel(name: TunedModelName): TuningJobId {
  return formatTuningJobId(name.slice(-32));
}

/**
 * @param keep is told of a run whose ids changed, before anything is done under them
 * @throws where something does not answer: the step is taken again
 */
export function stepOf(
  env: Env,
  retune: Retune,
  run: RetuneRun,
  { corrections, keep }: { corrections: () => Corrections; keep: (run: RetuneRun) => void },
): Promise<Step> {
  switch (run.step) {
    case "write":
      return write(env, retune, run, { corrections, keep });
    case "create":
      return create(env, retune, run);
    case "train":
      return awaitEnd(env, retune, run);
  }
}

async function write(
  env: Env,
  { settings }: Retune,
  run: RetuneRun,
  { corrections, keep }: { corrections: () => Corrections; keep: (run: RetuneRun) => void },
): Promise<Step> {
  const { tenant, alias, trainingFiles, form, like } = settings;
  const files = env.FILES.getByName(tenant);
  if ((await files.find(tenant, run.file)) !== null)
    return { kind: "again", run: { ...run, step: "create" }, why: null };
  // What a try before this has left of the file is deleted, and its id with it.
  await files.discard(run.file);
  const fresh = { ...run, file: formatFileId(randomHex()) };
  keep(fresh);
  const found = await Promise.all(trainingFiles.map((id) => files.find(tenant, id)));
  const old = found.filter((file) => file !== null);
  if (old.length < found.length)
    return stopped("a training file is not there any more. Name those to use: POST …/retune");
  const { bytes, lines } = corrections();
  const bytesMax = old.reduce((sum, file) => sum + file.bytes + 1, bytes);
  if (bytesMax > fileBytesMax)
    return stopped(`training files and corrections have more than ${fileBytesMax} bytes together`);
  const filename = `retune-${alias}.jsonl`;
  const dataSet = { tenant, id: fresh.file, filename, bytesMax, keptMs };
  const leftOut = new LeftOut(form, like.options.labelNames ?? null);
  const written = await writeDataSet(env, dataSet, joined(env, old, { lines, leftOut }));
  if ("refusal" in written)
    return { kind: "wait", why: `The key has no room for the training file: ${written.refusal}.` };
  return { kind: "again", run: { ...fresh, step: "create" }, why: leftOut.inWords() };
}

function stopped(why: string): Step {
  return { kind: "over", level: "warn", message: `The re-tune did not begin: ${why}.` };
}

type Put = { lines: Iterable<Uint8Array>; leftOut: LeftOut };

/** Each file ends with a line end, and none but the first may begin with a byte order mark. */
async function* joined(
  env: Env,
  files: readonly StoredFile[],
  { lines, leftOut }: Put,
): AsyncGenerator<Uint8Array> {
  const lineEnd = 10;
  let hasPairs = false;
  for (const file of files) {
    const content = await openObject(settingsOf(env), file);
    if (content === null) throw new Error(`${file.id} has no bytes`);
    let last = lineEnd;
    let isFirst = true;
    for await (const chunk of content) {
      const piece = isFirst ? withoutMark(chunk) : chunk;
      if (isFirst) hasPairs ||= isOfTwoTexts(piece);
      isFirst = false;
      last = piece.at(-1) ?? last;
      yield piece;
    }
    if (last !== lineEnd) yield new Uint8Array([lineEnd]);
  }
  for (const line of lines) {
    if (leftOut.takes(new TextDecoder().decode(line), hasPairs)) yield line;
  }
}

/** Of JSON Lines, whose first say what the others are. */
function isOfTwoTexts(bytes: Uint8Array): boolean {
  return /[{,]\s*"text_pair"\s*:/.test(new TextDecoder().decode(bytes));
}

function withoutMark(chunk: Uint8Array): Uint8Array {
  const [a, b, c] = chunk;
  return a === 0xef && b === 0xbb && c === 0xbf ? chunk.subarray(3) : chunk;
}

const refusals = {
  jobs: "The key has as many fine-tuning jobs as it may: the re-tune waits for one to end.",
  models:
    "The key has as many tuned models as it may: the re-tune waits for one to be deleted (DELETE /v1/models/{id}).",
  seconds: "The key has too few seconds of training left today: the re-tune waits.",
} as const;

async function create(env: Env, { settings }: Retune, run: RetuneRun): Promise<Step> {
  const { tenant, alias, like } = settings;
  const tuning = env.TUNING.getByName(tenant);
  const next = { kind: "again", run: { ...run, step: "train" }, why: null } as const;
  if ((await tuning.find(run.job)) !== null) return next;
  const start = await startOf(env, settings, run);
  if (start === null) {
    const { name = "" } = like.start ?? {};
    return stopped(`${name}, from which its model went on, is not there any more. Ask for it anew`);
  }
  const created = await tuning.create({
    ...like,
    ...start,
    id: run.job,
    tenant,
    trainingFile: run.file,
    name: TunedModelName.parse(formatTunedModelName({ ...like, id: run.job })),
    metadata: { retune_of: alias },
    // One correction that turns out bad does not stop all others.
    options: { ...like.options, skipInvalid: true },
  });
  return "refusal" in created ? { kind: "wait", why: refusals[created.refusal.kind] } : next;
}

/**
 * What was gone on from is gone on from again, so that nothing that it had learnt is lost: the same model, or where
 * that was deleted the one that the alias points to. @returns null: neither is there
 */
async function startOf(
  env: Env,
  { tenant, like }: Retune["settings"],
  { from }: RetuneRun,
): Promise<Pick<NewTuningJob, "start"> | null> {
  const { start, model } = like;
  if (start === undefined) return {};
  const models = env.TUNED_MODELS.getByName(tenant);
  for (const name of [start.name, from]) {
    const found = await models.find(name);
    const isAlike = found?.base === model && found.kind === start.kind;
    if (isAlike) return { start: { name, kind: start.kind } };
  }
  return null;
}

async function awaitEnd(env: Env, { settings }: Retune, run: RetuneRun): Promise<Step> {
  const { tenant } = settings;
  const job = await env.TUNING.getByName(tenant).find(run.job);
  if (job === null) return ended("warn", run, "is not known any more");
  if (!isOver(job.course)) return { kind: "wait", why: null };
  const { status, error } = job.course;
  if (status === "succeeded") return decide(env, settings, { run, job });
  return triedAgain(run, error) ?? ended("warn", run, `${status}: ${error?.message ?? ""}`);
}

/** Another job on the same file. @returns null: what failed is not ours, or has failed too often */
function triedAgain(run: RetuneRun, error: PublicError | null): Step | null {
  const { job, failures = 0 } = run;
  if (error === null || errorTable[error.code].status < 500 || failures === failuresMax)
    return null;
  const next = { ...run, step: "create", job: formatTuningJobId(randomHex()) } as const;
  const why = `${job} failed on our side, and another job takes its place: ${error.message}`;
  return { kind: "again", run: { ...next, failures: failures + 1 }, why };
}

function ended(level: "info" | "warn", { job, from }: RetuneRun, how: string): Step {
  return { kind: "over", level, message: `${job} ${how}. The alias stays as it is: ${from}.` };
}

async function decide(
  env: Env,
  { tenant, alias, share, like }: Retune["settings"],
  { run, job }: { run: RetuneRun; job: TuningJob },
): Promise<Step> {
  const before = await env.TUNING.getByName(tenant).find(jobOfModel(run.from));
  const isSame = like.validationFile !== null && before?.validationFile === like.validationFile;
  const [report, old] = await Promise.all([
    trainingReport(env, job),
    isSame && before !== null ? trainingReport(env, before) : null,
  ]);
  const { better, why } = judge(report, old);
  const models = env.TUNED_MODELS.getByName(tenant);
  if (!better) {
    const left = await models.removeUnpointed(job.name);
    const fate = "alias" in left ? `stays for the alias ${left.alias}` : "is deleted";
    return ended("info", run, `was not better (${why}), and its model ${fate}`);
  }
  const moved = await models.moveAlias({ name: alias, from: run.from, to: job.name, share });
  switch (moved) {
    case "moved": {
      const how = share === null ? "The alias points to it" : `It answers ${share} of the requests`;
      return { kind: "over", level: "info", message: `${job.name} is better: ${why}. ${how}.` };
    }
    case "elsewhere":
      return {
        kind: "over",
        level: "warn",
        message:
          `${job.name} is better than ${run.from}, to which the alias does not point any more. ` +
          "The alias stays as it is.",
      };
    case "no model":
      return ended("warn", run, "made a model that was deleted meanwhile");
  }
}

/** The report that a job made; null: there is none that can be read. */
async function trainingReport(env: Env, job: TuningJob): Promise<TrainingReport | null> {
  const files = env.FILES.getByName(job.tenant);
  const found = await Promise.all(job.resultFiles.map((id) => files.find(job.tenant, id)));
  const file = found.find((each) => each?.filename === "report.json") ?? null;
  if (file === null || file.bytes > reportBytesMax) return null;
  const content = await openObject(settingsOf(env), file);
  if (content === null) return null;
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of content) text += decoder.decode(chunk, { stream: true });
  return parsed(text + decoder.decode());
}

function parsed(text: string): TrainingReport | null {
  try {
    return TrainingReport.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    // It is no JSON.
    return null;
  }
}
