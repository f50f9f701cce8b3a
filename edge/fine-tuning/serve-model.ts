/**
 * From what a worker made to a model that answers: its row, a worker that has loaded it, its result files as files of
 * the key. Or the way back, where it is not wanted or cannot be loaded. Each step may be taken again, whatever was done
 * of it before.
 */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { TuningResultFile } from "#contract/training/tuning-job.ts";
import type { TunedModel } from "#contract/training/tuned-model.ts";
import { type Env, settingsOf } from "../environment.ts";
import { formatFileId, type StoredFile } from "../files/stored-file.ts";
import { type InternalJob, settleInternalJob } from "../jobs/internal-job.ts";
import { TooManyTunedModels } from "../registry/tuned-models.ts";
import { deletePrefix } from "../storage/delete-prefix.ts";
import type { Made } from "./job-course.ts";
import { folderOf, type TuningJob } from "./tuning-job.ts";

/** A worker loads the model that the message names, and says that it could. */
const loadModelTask = "load-model";

/** Of the result files, the one that people read; the first that there is. */
const reportNames = ["report.html", "report.json"];

/** `open`: ask again. */
export type Serving =
  | { kind: "open" }
  | { kind: "served"; resultFiles: string[]; report: string | null }
  | { kind: "failed"; error: PublicError };

const notLoaded: PublicError = {
  code: "internal_error",
  message: "The tuned model was trained, and no worker could load it. Create the job again.",
  param: null,
};

/** @param keep is told of a job that loads it before that is begun */
export async function serveModel(
  env: Env,
  job: TuningJob,
  { model, resultFiles }: Made,
  keep: (job: JobId) => void,
): Promise<Serving> {
  const { tenant, loading } = job;
  const refused = loading.job === null ? await put(env, tenant, model) : null;
  if (refused !== null) return { kind: "failed", error: refused };
  const { name, digest, files } = model;
  const wanted: InternalJob = {
    tenant,
    task: loadModelTask,
    model: name,
    inputs: "[{}]",
    tuned: { name, digest, files },
    begun: loading,
    keep,
  };
  const loaded = await settleInternalJob(env, wanted, async () => true);
  if (loaded.kind === "open") return { kind: "open" };
  if (loaded.kind === "failed") return { kind: "failed", error: loaded.error };
  if (loaded.kind === "lost") return { kind: "failed", error: notLoaded };
  const stored = await Promise.all(resultFiles.map((file) => storedFile(job, file)));
  const tenantFiles = env.FILES.getByName(tenant);
  for (const file of stored) await tenantFiles.adopt(file);
  return { kind: "served", resultFiles: stored.map(({ id }) => id), report: reportOf(stored) };
}

/** @returns why it cannot be kept; null: it is */
async function put(env: Env, tenant: string, model: TunedModel): Promise<PublicError | null> {
  try {
    await env.TUNED_MODELS.getByName(tenant).put(model);
    return null;
  } catch (error) {
    const { name, message } = new TooManyTunedModels();
    if (!String(error).includes(name)) throw error;
    return { code: "insufficient_quota", message, param: null };
  }
}

function reportOf(files: readonly StoredFile[]): string | null {
  const found = reportNames.flatMap((name) => files.filter(({ filename }) => filename === name));
  return found[0]?.id ?? null;
}

/** Nothing is left of what its workers made: no row, no files, no bytes. */
export async function discardObjects(env: Env, job: TuningJob): Promise<void> {
  const { tenant, name, course } = job;
  if (course.made !== null) {
    await env.TUNED_MODELS.getByName(tenant).remove(name);
    for (const file of course.made.resultFiles)
      await env.FILES.getByName(tenant).remove((await storedFile(job, file)).id);
  }
  await deletePrefix(settingsOf(env), folderOf(job.id));
}

/** Its id follows from the job and the name, so that it is one file however often it is stored. */
async function storedFile(job: TuningJob, file: TuningResultFile): Promise<StoredFile> {
  const { filename, object } = file;
  const bytes = new TextEncoder().encode(`${job.id}/${filename}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return {
    id: formatFileId(digest.slice(0, 32)),
    ...object,
    filename,
    purpose: "fine-tune-results",
    createdAt: Math.floor((job.course.made?.at ?? job.createdAt) / 1_000),
    expiresAt: null,
    status: "processed",
    statusDetails: null,
  };
}
