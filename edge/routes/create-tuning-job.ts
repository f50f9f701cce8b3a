/**
 * POST /v1/fine_tuning/jobs as OpenAI words it, or what such a job would do and cost (`dry_run`). What is asked for is
 * judged here as far as it can be told; the rest, and all that follows, is the tenant's object's.
 */
import { CodedError } from "#contract/errors.ts";
import {
  type TunedModel,
  tunedModelBounds,
  TunedModelName,
} from "#contract/training/tuned-model.ts";
import type { TuningStrategy } from "#contract/training/tuning-options.ts";
import { formatDuration } from "../accounts/rate-limit-headers.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { baseProblem } from "../fine-tuning/base-model.ts";
import { findFile, judgeFiles } from "../fine-tuning/judge-files.ts";
import type { Sending } from "../fine-tuning/created-before.ts";
import { showJob } from "../fine-tuning/show-job.ts";
import {
  formatTunedModelName,
  formatTuningJobId,
  type NewTuningJob,
} from "../fine-tuning/tuning-job.ts";
import type { CreationAnswer } from "../fine-tuning/tenant-tuning.ts";
import { tuningLimits, type TuningRefusal } from "../fine-tuning/tuning-limits.ts";
import { BodyPermit } from "../http/body-permit.ts";
import { readDecodedBody } from "../http/content-encoding.ts";
import { idempotencyHeader, idempotencyKey, isRetried } from "../http/idempotency.ts";
import { randomHex } from "../http/random-hex.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { modelNamed } from "../registry/known-models.ts";
import type { ModelListing } from "../registry/merge-models.ts";
import { tooManyJobs, tuningOf } from "./fine-tuning.ts";
import {
  type CreateTuningJobRequest,
  maxSecondsOf,
  optionsOf,
  randomSeed,
  readTuningRequest,
} from "./fine-tuning-request.ts";
import { planTuningJob } from "./plan-tuning-job.ts";

/** All that can be asked for takes less, and it is small enough to need no permit. */
const bodyBytesMax = 64 * 1024;

export async function createTuningJob(c: EdgeContext): Promise<Response> {
  const { tenant, tuning } = tuningOf(c);
  const body = await readDecodedBody(c.req.raw, bodyBytesMax, new BodyPermit(c.req.raw));
  const request = readTuningRequest(parseJson(decodeText(body)));
  if (request.dry_run === true) return planTuningJob(c, await jobAskedFor(c, request, tenant));
  const sending = await sendingOf(c, request);
  const before = await tuning.createdBefore(sending);
  if (before !== null) return answer(c, request, before);
  const asked = await jobAskedFor(c, request, tenant);
  return answer(c, request, await tuning.createOnce(asked, sending));
}

async function sendingOf(c: EdgeContext, request: CreateTuningJobRequest): Promise<Sending> {
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  return {
    key: idempotencyKey(c.req.header(idempotencyHeader)),
    digest: new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex(),
    isRetry: isRetried(c.req.header("x-stainless-retry-count")),
  };
}

function answer(c: EdgeContext, request: CreateTuningJobRequest, given: CreationAnswer): Response {
  if (given === "conflict") {
    throw new CodedError(
      "idempotency_key_conflict",
      "This Idempotency-Key made a job of another body in the last 24 hours. Send that body, or another key.",
      { param: idempotencyHeader },
    );
  }
  if ("refusal" in given) throw refused(given.refusal, maxSecondsOf(request), c);
  return c.json(showJob(given.job));
}

/** @throws CodedError for what can be told already */
async function jobAskedFor(
  c: EdgeContext,
  request: CreateTuningJobRequest,
  tenant: string,
): Promise<NewTuningJob> {
  const { base, start } = await baseOf(c, request);
  const id = formatTuningJobId(randomHex());
  const suffix = request.suffix ?? null;
  const asked: NewTuningJob = {
    id,
    tenant,
    model: base.id,
    baseTasks: base.tasks,
    ...(start !== undefined && { start }),
    trainingFile: request.training_file,
    validationFile: request.validation_file ?? null,
    name: nameOf({ id, model: base.id, suffix }),
    suffix,
    metadata: request.metadata ?? null,
    options: optionsOf(request, randomSeed()),
  };
  await checkFiles(c, asked);
  return asked;
}

/** @throws CodedError where there is no such model, or it cannot be the base of this task */
async function baseOf(
  c: EdgeContext,
  request: CreateTuningJobRequest,
): Promise<{ base: ModelListing } & Pick<NewTuningJob, "start">> {
  const { model, task } = request;
  const { tuned, ...named } = await modelNamed(c, model);
  if (tuned !== undefined) checkStart(tuned, request);
  const base = tuned === undefined ? named : await modelNamed(c, tuned.base);
  if (base.notServable) {
    throw new CodedError("model_not_servable", base.reason ?? `${base.id} cannot be served`, {
      param: "model",
    });
  }
  const problem = task === undefined ? null : baseProblem(base.id, base.tasks, task);
  if (problem !== null) throw new CodedError("invalid_value", problem, { param: "model" });
  return tuned === undefined ? { base } : { base, start: { name: tuned.name, kind: tuned.kind } };
}

/** What goes on from a tuned model is served as that is. @throws CodedError */
function checkStart(
  { name, kind, base }: TunedModel,
  { strategy = "auto", lora }: CreateTuningJobRequest,
): void {
  const allowed = strategiesFrom[kind];
  if (!allowed.includes(strategy)) {
    throw new CodedError(
      "invalid_value",
      `${name} is ${kind === "adapter" ? "an adapter" : "a whole checkpoint"}, and goes on with the strategy ` +
        `${allowed.join(" or ")}. Send one of these, or name ${base} to begin anew with ${strategy}.`,
      { param: "strategy" },
    );
  }
  if (lora === undefined) return;
  throw new CodedError(
    "invalid_value",
    `The rank and alpha of ${name} stay what they are. Leave lora out, or name ${base} to begin anew.`,
    { param: "lora" },
  );
}

const strategiesFrom: Readonly<Record<TunedModel["kind"], readonly TuningStrategy[]>> = {
  adapter: ["auto", "lora"],
  checkpoint: ["auto", "top-k", "full"],
};

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
  if (verdict === null || !("error" in verdict)) return;
  const { code, message, param } = verdict.error;
  if (param !== null && toldAtOnce.includes(param)) throw new CodedError(code, message, { param });
}

const toldAtOnce = ["model", "task", "label_names"];

function refused(refusal: TuningRefusal, maxSeconds: number, c: EdgeContext): CodedError {
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
        `max_seconds is ${maxSeconds}, and of the ${limit} seconds of training a day ${refusal.left} ` +
          `are left. Send a smaller max_seconds, or wait ${formatDuration(refusal.resetMs)} until the next UTC day.`,
        { param: "max_seconds" },
      );
    }
  }
}
