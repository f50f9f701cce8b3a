/** A job as its worker is told of it, and whether what came of it is what was ordered. */
import type { PublicError } from "#contract/errors.ts";
import type { TuningOrder, TuningOutcome } from "#contract/training/tuning-job.ts";
import type { FilesOfOrder } from "./judge-files.ts";
import { prefixesOf, type TuningJob } from "./tuning-job.ts";

/** What a worker that claimed it is told. @returns null: nobody has it */
export function orderOf(job: TuningJob, files: FilesOfOrder): TuningOrder | null {
  const { id, tenant, model, options, name, course } = job;
  if (course.lease === null) return null;
  const attempt = course.lapses + 1;
  const lease = course.lease.id;
  return { id, tenant, lease, attempt, model, ...files, options, name, ...prefixesOf(id) };
}

/** A model must be the one that was ordered, and lie where it was ordered to. */
export function checkedOutcome(job: TuningJob, outcome: TuningOutcome): TuningOutcome {
  if (outcome.kind !== "succeeded") return outcome;
  const { model, resultFiles } = outcome;
  const { modelPrefix, resultPrefix } = prefixesOf(job.id);
  const isOrdered =
    model.name === job.name &&
    model.base === job.model &&
    model.files.every(({ object }) => object.key.startsWith(modelPrefix)) &&
    resultFiles.every(({ object }) => object.key.startsWith(resultPrefix));
  return isOrdered ? outcome : { kind: "failed", error: notOrdered };
}

const notOrdered: PublicError = {
  code: "internal_error",
  message: "The worker made another model than was asked for. Create the job again.",
  param: null,
};
