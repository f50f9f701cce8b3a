/**
 * The jobs of a shard that somebody can come back for: each has a row, and reads from its computation how far it is.
 * Whoever asked to be told of one, hears of its start and its end.
 */
import { formatJobId, type JobId, shardOfJobId } from "#contract/job-id.ts";
import type { Job } from "../answers/job.ts";
import { type Told, toldAtOnce } from "../answers/told-pieces.ts";
import type { Webhook, WebhookEvent } from "../webhooks/webhook.ts";
import type { Claim, Computation, ComputationTable } from "./computation-table.ts";
import type { JobRows, Outcome, StoredJob } from "./job-rows.ts";
import type { JobHead, KeepRequest, RunOutcome } from "./shard-protocol.ts";

export type JobDependencies = {
  rows: JobRows;
  /** Something happened to a job that names a webhook. */
  notify: (id: JobId, webhook: Webhook, event: WebhookEvent) => void;
  /** @returns 32 lower-case hex digits */
  randomHex: () => string;
  now: () => number;
};

export class KeptJobs {
  readonly #dependencies: JobDependencies;
  readonly #computations: ComputationTable;

  constructor(dependencies: JobDependencies, computations: ComputationTable) {
    this.#dependencies = dependencies;
    this.#computations = computations;
  }

  /** Open jobs want their computations again. */
  restore(): void {
    for (const { computationId, job, webhook } of this.#dependencies.rows.open()) {
      this.#computations.find(computationId)?.jobs.set(job.id, lookOf(job, webhook));
    }
  }

  find(id: JobId, tenant: string): StoredJob | undefined {
    const stored = this.#dependencies.rows.find(id);
    return stored?.tenant === tenant ? stored : undefined;
  }

  /** @returns null where the tenant has no such job */
  shown(id: JobId, tenant: string): Job | null {
    const stored = this.find(id, tenant);
    return stored === undefined ? null : this.show(stored);
  }

  /** With how far its computation is, while it is open. */
  show({ job, computationId }: StoredJob): Job {
    const computation = this.#computations.find(computationId);
    if (job.finishedAt !== null || computation === undefined) return job;
    const { status, progress } = computation;
    return { ...job, status, progress };
  }

  /** The job of a request that was put down before the shard was struck down, and is now asked again. */
  repeated({ id, keptId, tenant, createdAt }: JobHead): Job | undefined {
    const stored = this.find(keptId ?? id, tenant);
    return stored?.job.createdAt === createdAt ? this.show(stored) : undefined;
  }

  /** @param isHeld its call waits for the end, or reads on @returns how it goes on, or what is told of it */
  again(job: Job, isHeld: boolean): { computation: Computation; kept: Job } | RunOutcome {
    const { id, result, error } = job;
    if (isHeld && result !== null) return { kind: "succeeded", jobId: id, result };
    if (isHeld && error !== null) return { kind: "failed", jobId: id, error };
    const { computationId = "" } = this.#dependencies.rows.find(id) ?? {};
    const computation =
      job.finishedAt === null ? this.#computations.find(computationId) : undefined;
    return isHeld && computation !== undefined
      ? { computation, kept: job }
      : { kind: "waiting", job };
  }

  /** A job whose result is known already. */
  keep({ job, webhook, result }: KeepRequest): Job {
    const repeated = this.repeated(job);
    if (repeated !== undefined) return repeated;
    const { rows, notify } = this.#dependencies;
    const { id } = job;
    const kept = rows.add({ id, head: job, webhook, computationId: id });
    if (webhook !== null) notify(id, webhook, "start");
    this.finish(id, { status: "succeeded", result }, toldAtOnce);
    return rows.find(id)?.job ?? kept;
  }

  issue(computation: Computation, { job, webhook }: Claim): Job {
    const { rows, notify } = this.#dependencies;
    const isFirst = rows.find(computation.id) === undefined;
    const id = job.keptId ?? (isFirst ? computation.id : this.#freshId(computation.id));
    computation.jobs.set(id, lookOf(job, webhook));
    const issued = rows.add({ id, head: job, webhook, computationId: computation.id });
    const { status, progress } = computation;
    if (status === "processing" && webhook !== null) notify(id, webhook, "start");
    return { ...issued, status, progress };
  }

  /**
   * @returns an open job that shows the same: a retry that outlasts its window again comes back for the job of the
   * first
   */
  alike(computation: Computation, { job, webhook }: Claim): Job | undefined {
    if (webhook !== null || job.keptId !== undefined) return undefined;
    const look = lookOf(job, webhook);
    const found = [...computation.jobs].find(([, other]) => other === look);
    const stored = found === undefined ? undefined : this.#dependencies.rows.find(found[0]);
    return stored === undefined ? undefined : this.show(stored);
  }

  tellStart(computation: Computation): void {
    if (computation.jobs.size === 0) return;
    const { rows, notify } = this.#dependencies;
    for (const { job, webhook } of rows.ofComputation(computation.id)) {
      if (webhook !== null) notify(job.id, webhook, "start");
    }
  }

  /** @param told how it was told until then */
  finish(id: JobId, outcome: Outcome, told: Told | null): void {
    const { rows, notify, now } = this.#dependencies;
    rows.finish(id, { ...outcome, told }, now());
    const webhook = rows.find(id)?.webhook ?? null;
    if (webhook === null) return;
    if (outcome.status === "succeeded") notify(id, webhook, "output");
    notify(id, webhook, "completed");
  }

  /** Forgets jobs that ended before `before`, ms since the epoch. @returns their ids */
  purge(before: number): JobId[] {
    return this.#dependencies.rows.purge(before);
  }

  #freshId(sibling: JobId): JobId {
    return formatJobId(shardOfJobId(sibling) ?? 0, this.#dependencies.randomHex());
  }
}

/** Jobs that look alike may be shared; one with a webhook, or an id of its own, is its caller's alone. */
function lookOf(
  job: Pick<JobHead, "rendering" | "warnings" | "keptId">,
  webhook: Webhook | null,
): string {
  return webhook === null && job.keptId === undefined
    ? JSON.stringify([job.rendering, job.warnings])
    : "";
}
