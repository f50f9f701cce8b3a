/**
 * A job of the platform's own on the pool that serves, known by a row of whoever wants it: found again whatever becomes
 * of that object meanwhile, and begun again where it is not to be had any more.
 */
import { errorTable, type PublicError } from "#contract/errors.ts";
import { type JobId, shardOfJobId } from "#contract/job-id.ts";
import { newJobAddress } from "../accounts/admission.ts";
import type { Job } from "../answers/job.ts";
import { type Env, settingsOf } from "../environment.ts";
import type { JobSpec } from "./job-spec.ts";
import { queueText } from "./queue-text.ts";
import { shardStub } from "./shard-stub.ts";

/** A job that took so many workers with it is not given to another. */
export const internalTriesMax = 3;

export type InternalJob = Pick<JobSpec, "tenant" | "task" | "model" | "inputs" | "tuned"> & {
  /** The one that was begun last, and how many were. */
  begun: { job: JobId | null; tries: number };
  /** Told of another before it is begun. */
  keep: (job: JobId) => void;
};

/** `lost`: as many as may be were begun, and none told. */
export type InternalOutcome =
  | { kind: "open" }
  | { kind: "succeeded"; job: Job }
  | { kind: "failed"; error: PublicError }
  | { kind: "lost" };

/**
 * Begins the job, or looks what became of it.
 * @param isGood whether what it came to can be used; where it cannot, another is begun
 */
export async function settleInternalJob(
  env: Env,
  wanted: InternalJob,
  isGood: (job: Job) => Promise<boolean>,
): Promise<InternalOutcome> {
  const { begun, tenant } = wanted;
  const job = begun.job === null ? null : await find(env, begun.job, tenant);
  if (job !== null && job.finishedAt === null) return { kind: "open" };
  if (job !== null && job.error !== null && !errorTable[job.error.code].retry)
    return { kind: "failed", error: job.error };
  if (job?.status === "succeeded" && (await isGood(job))) return { kind: "succeeded", job };
  if (begun.tries >= internalTriesMax) return { kind: "lost" };
  await begin(env, wanted);
  return { kind: "open" };
}

function find(env: Env, id: JobId, tenant: string): Promise<Job | null> {
  return shardStub(env, shardOfJobId(id) ?? 0).find(id, tenant);
}

async function begin(env: Env, wanted: InternalJob): Promise<void> {
  const settings = settingsOf(env);
  const { id, shard } = newJobAddress(null, settings.shards);
  const createdAt = Date.now();
  const { tenant, task, model, inputs, tuned } = wanted;
  const spec: JobSpec = {
    id,
    shard,
    tenant,
    task,
    model,
    ...(tuned === undefined ? {} : { tuned }),
    entityModel: null,
    parameters: {},
    inputs,
    requestKey: null,
    rendering: { route: "tasks" },
    stream: false,
    warnings: [],
    webhook: null,
  };
  const text = await queueText(spec, settings, createdAt);
  wanted.keep(id);
  const { requestKey, rendering, warnings } = spec;
  await shardStub(env, shard).run({
    job: { id, tenant, task, model, requestKey, createdAt, rendering, warnings },
    ...text,
    keep: "from-start",
    wait: null,
    webhook: null,
  });
}
