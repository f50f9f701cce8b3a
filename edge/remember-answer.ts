/** Keeps what was just made in this isolate, where the next such call looks first. */
import type { JobResult } from "#contract/events.ts";
import { keepAnswer, keepResult } from "./cache.ts";
import type { EdgeContext } from "./context.ts";
import type { JobSpec } from "./jobs/job-spec.ts";
import type { Rendered } from "./rendering.ts";

/** Call it with a whole result only; a spec without a request key leaves no trace. */
export function rememberAnswer(
  c: EdgeContext,
  spec: Pick<JobSpec, "requestKey" | "model">,
  made: { result: JobResult; rendered: Rendered },
): void {
  const { requestKey, model } = spec;
  if (requestKey === null) return;
  const { modelDigest } = made.result;
  keepResult({ requestKey, modelDigest }, made.result, made.rendered.body.length);
  const exact = c.get("exactCallKey");
  if (exact !== undefined) keepAnswer(exact, { ...made.rendered, model, modelDigest });
}
