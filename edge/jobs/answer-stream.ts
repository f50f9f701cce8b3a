/** A log that was opened for a caller, as the shard answers: server-sent events, or how it ended before any came. */
import { StreamRenderer, whereResultOf } from "../answers/stream-surfaces.ts";
import type { Settings } from "../environment.ts";
import type { EventLog } from "./event-log.ts";
import { EventStream } from "./event-stream.ts";
import type { OpenLog } from "./find-log.ts";
import type { RunOutcome } from "./shard-protocol.ts";

/** How long a call is held for its first token, so that one that is refused gets an answer with a status. */
const heldMs = 1_000;

export type StreamUse = {
  settings: Settings;
  /** As `GET /v1/jobs/{id}/events` tells it. */
  ofJob: boolean;
  /** Not begun at once: what is refused gets a status. */
  held: boolean;
  after: number;
  waiting: () => string | null;
  onGone: () => void;
};

export async function answerStream(opened: OpenLog, use: StreamUse): Promise<Response> {
  const { log, jobId, createdAt, rendering } = opened;
  if (use.held) {
    await untilAnswered(log);
    const refused = refusalOf(opened);
    if (refused !== null) return Response.json(refused);
  }
  const renderer = new StreamRenderer({ jobId, createdAt, rendering }, use.ofJob, use.after);
  const whereResult = whereResultOf(rendering, jobId);
  const { readable } = new EventStream({ log, renderer, whereResult, ...use });
  return new Response(readable, { headers: streamHeaders(jobId) });
}

/** @param jobId null: no job computed it */
export function streamHeaders(jobId: string | null): Record<string, string> {
  return {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // Proxies that gather answers let this one pass.
    "x-accel-buffering": "no",
    ...(jobId === null ? {} : { "x-job-id": jobId }),
  };
}

/** It failed before anything of it was told. */
function refusalOf({ log, jobId }: OpenLog): RunOutcome | null {
  const { end } = log;
  return end?.status === "failed" && !log.hasPiece
    ? { kind: "failed", jobId, error: end.error }
    : null;
}

function untilAnswered(log: EventLog): Promise<void> {
  if (log.hasAnswer) return Promise.resolve();
  return new Promise((resolve) => {
    const answer = () => {
      clearTimeout(timer);
      unlisten();
      resolve();
    };
    const timer = setTimeout(answer, heldMs);
    const unlisten = log.listen(() => {
      if (log.hasAnswer) answer();
    });
  });
}
