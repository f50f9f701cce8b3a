/**
 * POST /internal/training/claim and /internal/training/reports: a training worker asks for a job that a message named,
 * and says how it goes (contract/training/tuning-job.ts).
 */
import {
  TuningClaim,
  type TuningClaimAnswer,
  TuningReport,
  type TuningReportAnswer,
} from "#contract/training/tuning-job.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { decodeText, parseJson } from "../http/request-body.ts";
import { readSigned } from "../http/signature.ts";
import { validate } from "../http/validation.ts";

export async function claimTuningJob(c: EdgeContext): Promise<Response> {
  const claim = validate(TuningClaim, await bodyOfWorker(c));
  const order = await c.env.TUNING.getByName(claim.tenant).claim(claim);
  return c.json({ order } satisfies TuningClaimAnswer);
}

export async function takeTuningReport(c: EdgeContext): Promise<Response> {
  const report = validate(TuningReport, await bodyOfWorker(c));
  const answer: TuningReportAnswer = await c.env.TUNING.getByName(report.tenant).report(report);
  return c.json(answer);
}

async function bodyOfWorker(c: EdgeContext): Promise<unknown> {
  const { callbackSecrets } = settingsOf(c.env);
  return parseJson(decodeText(await readSigned(c.req.raw, callbackSecrets, Date.now() / 1_000)));
}
