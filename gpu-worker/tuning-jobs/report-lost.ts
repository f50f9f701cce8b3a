/** Tells the edge of leases whose holders are dead, so that their jobs need not wait until they lapse. */
import { leaseNumbers, type TuningReport } from "#contract/training/tuning-job.ts";
import { type Backoff, backoffMs, pause } from "../jobs/backoff.ts";
import type { EdgeClient } from "../jobs/edge-client.ts";
import type { Log } from "../telemetry/log.ts";
import type { HeldLease, LeaseNotes } from "./lease-notes.ts";
import { reportsPath } from "./tuning-lease.ts";

export type LostTools = {
  readonly notes: Pick<LeaseNotes, "lost" | "release">;
  readonly edge: Pick<EdgeClient, "post">;
  readonly worker: string;
  readonly backoff: Backoff;
  readonly log: Log;
};

/** After so long they have lapsed by themselves, whatever the edge has heard. */
const patienceMs = leaseNumbers.lapseSeconds * 1_000;

export async function reportLost(tools: LostTools, ending: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([ending, AbortSignal.timeout(patienceMs)]);
  const lost = await tools.notes.lost();
  await Promise.all(lost.map((lease) => reportOne(lease, tools, signal)));
}

async function reportOne(
  held: HeldLease,
  { notes, edge, worker, backoff, log }: LostTools,
  signal: AbortSignal,
): Promise<void> {
  log.info({ job: held.id }, "a training process died, and its job is given back");
  const report: TuningReport = {
    ...held,
    worker,
    events: [],
    checkpoints: [],
    progress: null,
    outcome: { kind: "lost" },
  };
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const { status } = await edge.post(reportsPath, JSON.stringify(report), signal);
      // Whatever was answered, it was heard; an edge that is not up yet answers 5xx.
      if (status < 500) break;
    } catch {
      // The edge is not up yet.
    }
    await pause(backoffMs(backoff, failures), signal);
  }
  await notes.release(held);
}
