/** Keeps what was just made in this isolate, where the next such call looks first. */
import { digestsIn } from "#contract/models.ts";
import { keepAnswer } from "../answers/answer-cache.ts";
import { keepResult } from "../storage/result-cache.ts";
import type { EdgeContext } from "../context.ts";
import type { JobSpec } from "./job-spec.ts";
import { learnDigests } from "../registry/known-models.ts";
import type { Rendered } from "../answers/render.ts";

/** Call it with a whole result only; a spec without a request key leaves no trace. */
export function rememberAnswer(
  c: EdgeContext,
  spec: Pick<JobSpec, "requestKey" | "model" | "entityModel">,
  made: { document: string; modelDigest: string; rendered: Rendered },
): void {
  const { requestKey, model, entityModel } = spec;
  if (requestKey === null) return;
  const { document, modelDigest, rendered } = made;
  const ids = [model, ...(entityModel === null ? [] : [entityModel])];
  learnDigests(c, digestsIn(modelDigest, ids));
  keepResult({ requestKey, modelDigest }, document);
  const exact = c.get("exactCallKey");
  const { body, headers } = rendered;
  if (exact !== undefined) keepAnswer(exact, { body, headers, model, entityModel, modelDigest });
}
