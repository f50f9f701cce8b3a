/** Who reads a shard's computations as they go on, and what there is to read of them, and of those that ended. */
import type { PublicError } from "#contract/errors.ts";
import type { JobId } from "#contract/job-id.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import { toldAtOnce } from "../answers/told-pieces.ts";
import type { Computation, ComputationTable, Waiter } from "./computation-table.ts";
import type { ComputationWatch } from "./computation-watch.ts";
import { endedLog, EventLog } from "./event-log.ts";
import { EventLogs } from "./event-logs.ts";
import { findLog, type OpenLog } from "./find-log.ts";
import type { Outcome } from "./job-rows.ts";
import type { KeptJobs } from "./kept-jobs.ts";
import { QueuePlaces } from "./queue-place.ts";
import type { JobHead, ReadRequest } from "./shard-protocol.ts";

/** Of one computation, callers that wait for it included. */
const readersMax = 100;

const tooManyReaders: PublicError = {
  code: "rate_limit_exceeded",
  message: `This job is read ${readersMax} times already, the most at a time. Close one of its streams first.`,
  param: null,
};

type Reader = Pick<ReadRequest, "waiter" | "graceMilliseconds"> & Pick<Waiter, "jobId" | "isOwner">;

export class ComputationStreams {
  readonly #jobs: KeptJobs;
  readonly #computations: ComputationTable;
  readonly #watch: ComputationWatch;
  readonly #logs: EventLogs;
  readonly #places: QueuePlaces;

  /** @param now ms since the epoch */
  constructor(
    jobs: KeptJobs,
    computations: ComputationTable,
    watch: ComputationWatch,
    now: () => number,
  ) {
    this.#jobs = jobs;
    this.#computations = computations;
    this.#watch = watch;
    this.#logs = new EventLogs(now);
    this.#places = new QueuePlaces(computations, now);
  }

  open(computation: Computation, head: JobHead, reader: Reader): OpenLog {
    this.listen(computation, reader);
    const { jobId } = reader;
    const { createdAt, rendering } = head;
    const { id, log } = computation;
    return { kind: "log", log, jobId: jobId ?? id, createdAt, rendering, computation };
  }

  ofResult({ id, createdAt, rendering }: JobHead, result: StoredResult): OpenLog {
    const log = endedLog({ status: "succeeded", result }, toldAtOnce);
    return { kind: "log", log, jobId: id, createdAt, rendering, computation: null };
  }

  /** @returns null where the tenant has no such job */
  find(id: JobId, tenant: string): OpenLog | null {
    return findLog(id, tenant, {
      jobs: this.#jobs,
      computations: this.#computations,
      logs: this.#logs,
    });
  }

  /** @returns why it may not be read once more; null: it may */
  refusal({ waiters }: Computation): PublicError | null {
    return waiters.size < readersMax ? null : tooManyReaders;
  }

  /** The reader wants the computation from now until it leaves. */
  listen(computation: Computation, { waiter, ...reader }: Reader): void {
    this.#computations.addWaiter(computation, waiter, { ...reader, call: null });
    this.#watch.keepStream(computation);
  }

  /** A worker has begun it. */
  begin(computation: Computation): void {
    this.#places.begin(computation);
    computation.log.append({ kind: "started" });
  }

  end(computation: Computation, outcome: Outcome): void {
    computation.log.finish(outcome);
    this.#logs.keep(computation);
  }

  /** Its readers are told so. Whoever takes it up again begins with what comes then. */
  cancel(computation: Computation): void {
    computation.log.finish({ status: "canceled" });
    computation.log = new EventLog(true);
  }

  /** What those are told who wait for a worker to begin; null: one has. */
  placeOf(computation: Computation): string | null {
    return this.#places.comment(computation);
  }
}
