/**
 * Fine-tuning as OpenAI words it: POST and GET /v1/fine_tuning/jobs, GET one, and POST its cancel, pause and resume.
 * What is asked for is judged here as far as it can be told; the rest, and all that follows, is the tenant's object's.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import {
  tunedModelBounds,
  isTunedModelName,
  TunedModelName,
} from "#contract/training/tuned-model.ts";
import { TuningJobId } from "#contract/training/tuning-job.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import { formatDuration } from "../accounts/rate-limit-headers.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { baseProblem } from "../fine-tuning/base-model.ts";
import { findFile, judgeFiles } from "../fine-tuning/judge-files.ts";
import { waitingMax } from "../fine-tuning/job-course.ts";
import { showJob, TuningJobObject } from "../fine-tuning/show-job.ts";
import type { TuningAnswer } from "../fine-tuning/tenant-tuning.ts";
import {
  formatTunedModelName,
  formatTuningJobId,
  type Metadata,
  type NewTuningJob,
  type TuningJob,
} from "../fine-tuning/tuning-job.ts";
import { tuningLimits, type TuningRefusal } from "../fine-tuning/tuning-limits.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { randomHex } from "../http/random-hex.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { validate } from "../http/validation.ts";
import { modelNamed } from "../registry/known-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import {
  type CreateTuningJobRequest,
  optionsOf,
  randomSeed,
  readTuningRequest,
} from "./fine-tuning-request.ts";

/** All that can be asked for takes less, and it is small enough to need no permit. */
const bodyBytesMax = 64 * 1024;
export const tuningPageMax = 1_000;

export const TuningJobList = z.object({
  object: z.literal("list").describe("What this is."),
  data: z.array(TuningJobObject).describe("The jobs, the newest first."),
  has_more: z.boolean().describe("Whether there are more."),
});

const Query = z.strictObject({
  limit: z.coerce.number().int().min(1).max(tuningPageMax).default(20),
  after: z.string().optional(),
  metadata: z.literal("null").optional(),
});

export function tuningOf(c: EdgeContext) {
  const tenant = keyOwner(c, "Fine-tuning jobs");
  return { tenant, tuning: c.env.TUNING.getByName(tenant) };
}

export async function createTuningJob(c: EdgeContext): Promise<Response> {
  const { tenant, tuning } = tuningOf(c);
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  const request = readTuningRequest(parseJson(decodeText(body)));
  const base = await baseOf(c, request);
  const id = formatTuningJobId(randomHex());
  const suffix = request.suffix ?? null;
  const asked: NewTuningJob = {
    id,
    tenant,
    model: base.id,
    baseTasks: base.tasks,
    trainingFile: request.training_file,
    validationFile: request.validation_file ?? null,
    name: nameOf({ id, model: base.id, suffix }),
    suffix,
    metadata: request.metadata ?? null,
    options: optionsOf(request, randomSeed()),
  };
  await checkFiles(c, asked);
  const created = await tuning.create(asked);
  if ("refusal" in created) throw refused(created.refusal, asked, c);
  return c.json(showJob(created.job));
}

/** @throws CodedError where there is no such model, or it cannot be the base of this task */
async function baseOf(
  c: EdgeContext,
  { model, task }: CreateTuningJobRequest,
): Promise<ModelListing> {
  if (isTunedModelName(model)) {
    throw new CodedError(
      "invalid_value",
      "model is a tuned model, and those are not tuned again yet. Name the model that it was tuned from.",
      { param: "model" },
    );
  }
  const base = await modelNamed(c, model);
  if (base.notServable) {
    throw new CodedError("model_not_servable", base.reason ?? `${base.id} cannot be served`, {
      param: "model",
    });
  }
  const problem = task === undefined ? null : baseProblem(base.id, base.tasks, task);
  if (problem !== null) throw new CodedError("invalid_value", problem, { param: "model" });
  return base;
}

function nameOf(parts: Parameters<typeof formatTunedModelName>[0]): TunedModelName {
  const name = TunedModelName.safeParse(formatTunedModelName(parts));
  if (name.success) return name.data;
  throw new CodedError(
    "invalid_value",
    `The name of ${parts.model} has no place in that of a tuned model. Use a model whose id holds no colon and ` +
      `is shorter, or a suffix of fewer than ${tunedModelBounds.suffixCharactersMax} characters.`,
    { param: "model" },
  );
}

/** @throws CodedError where a file is none to train with, or is known already to be for another kind of base */
async function checkFiles(c: EdgeContext, asked: NewTuningJob): Promise<void> {
  const fields = ["training_file", "validation_file"] as const;
  for (const field of fields) {
    if (field === "validation_file" && asked.validationFile === null) continue;
    if ((await findFile(c.env, asked, field)) !== null) continue;
    throw new CodedError(
      "invalid_value",
      `${field} names no file of this key to train with. Upload one with the purpose fine-tune, and send its id.`,
      { param: field },
    );
  }
  const verdict = await judgeFiles(c.env, asked);
  // What is wrong with a file, the job says: it may as well be found after this.
  if (verdict === null || !("error" in verdict) || verdict.error.param !== "model") return;
  throw new CodedError(verdict.error.code, verdict.error.message, { param: "model" });
}

function tooManyJobs(): CodedError {
  return new CodedError(
    "rate_limit_exceeded",
    `One fine-tuning job of a key runs at a time, and ${waitingMax} may wait. Wait for one to end, or cancel it.`,
  );
}

function refused(refusal: TuningRefusal, { options }: NewTuningJob, c: EdgeContext): CodedError {
  switch (refusal.kind) {
    case "jobs":
      return tooManyJobs();
    case "models":
      return new CodedError(
        "insufficient_quota",
        `A key may have ${tuningLimits.modelsMax} tuned models, those of jobs that have not ended included. ` +
          "Delete one, or cancel a job.",
      );
    case "seconds": {
      const limit = settingsOf(c.env).trainingSecondsPerDay;
      return new CodedError(
        "insufficient_quota",
        `max_seconds is ${options.maxSeconds}, and of the ${limit} seconds of training a day ${refusal.left} ` +
          `are left. Send a smaller max_seconds, or wait ${formatDuration(refusal.resetMs)} until the next UTC day.`,
        { param: "max_seconds" },
      );
    }
  }
}

export async function listTuningJobs(c: EdgeContext): Promise<Response> {
  const { tuning } = tuningOf(c);
  const { wanted, rest } = splitQuery(c.req.query());
  const { limit, after = null, metadata } = validate(Query, rest);
  const before = after === null ? null : jobIdOf(after, "after");
  const page = await tuning.page({
    limit,
    after: before,
    metadata: metadata === "null" ? null : wanted,
  });
  if (page === null) throw jobNotFound("after");
  return c.json({
    object: "list",
    data: page.slice(0, limit).map(showJob),
    has_more: page.length > limit,
  } satisfies z.infer<typeof TuningJobList>);
}

/** `metadata[key]=value` beside the others. */
function splitQuery(query: Record<string, string>) {
  const wanted: [string, string][] = [];
  const rest: Record<string, string> = {};
  for (const [name, value] of Object.entries(query)) {
    const key = /^metadata\[(.{1,64})\]$/s.exec(name)?.[1];
    if (key === undefined) rest[name] = value;
    else wanted.push([key, value]);
  }
  const metadata: Metadata = Object.fromEntries(wanted);
  return { wanted: metadata, rest };
}

export async function getTuningJob(c: EdgeContext): Promise<Response> {
  return c.json(showJob((await findTuningJob(c)).job));
}

export function cancelTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "cancel");
}

export function pauseTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "pause");
}

export function resumeTuningJob(c: EdgeContext): Promise<Response> {
  return changeJob(c, "resume");
}

async function changeJob(c: EdgeContext, kind: "cancel" | "pause" | "resume"): Promise<Response> {
  const { tuning } = tuningOf(c);
  const answer: TuningAnswer = await tuning.change(jobIdOf(c.req.param("id") ?? ""), kind);
  if (answer === null) throw jobNotFound();
  if ("job" in answer) return c.json(showJob(answer.job));
  if (answer.refused === "no room") throw tooManyJobs();
  throw new CodedError("invalid_value", `The job is ${answer.refused}: ${cannot[kind]}`, {
    param: "id",
  });
}

const cannot = {
  cancel: "it has ended, and stays as it is.",
  pause:
    "only one that is queued, or in training, can be paused. Ask for it again, and then pause it.",
  resume: "only a paused one can be resumed.",
} as const;

/** The id in an address. @throws CodedError `not_found` where it is none */
export function jobIdOf(text: string, param = "id"): TuningJobId {
  const id = TuningJobId.safeParse(text);
  if (!id.success) throw jobNotFound(param);
  return id.data;
}

export function jobNotFound(param = "id"): CodedError {
  return new CodedError(
    "not_found",
    "No such fine-tuning job. Jobs are kept for their key alone.",
    {
      param,
    },
  );
}

export async function findTuningJob(c: EdgeContext): Promise<{
  job: TuningJob;
  tuning: ReturnType<typeof tuningOf>["tuning"];
}> {
  const { tuning } = tuningOf(c);
  const job = await tuning.find(jobIdOf(c.req.param("id") ?? ""));
  if (job === null) throw jobNotFound();
  return { job, tuning };
}
