/** POST /v1/fine_tuning/jobs with `dry_run: true`: a worker says what the job would do and cost, and none is created. */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { TuningPlan } from "#contract/training/tuning-plan.ts";
import type { EdgeContext } from "../context.ts";
import { filesOfOrder } from "../fine-tuning/judge-files.ts";
import type { NewTuningJob } from "../fine-tuning/tuning-job.ts";
import { serveRequest } from "../tasks/serve-job.ts";
import { tuningOf } from "./fine-tuning.ts";

export const TuningDryRun = z.object({
  object: z.literal("fine_tuning.dry_run").describe("What this is."),
  model: z.string().describe("Id of the model that the job would start from."),
  training_file: z.string().describe("Id of a file."),
  validation_file: z.string().nullable().describe("Id of a file. Null: none was named."),
  ...TuningPlan.shape,
});
export type TuningDryRun = z.infer<typeof TuningDryRun>;

/** A job of it goes on that its caller did not wait for. */
const goesOn = [202, 504];

/** One of a key at a time: each reads whole files. @throws CodedError */
export async function planTuningJob(c: EdgeContext, asked: NewTuningJob): Promise<Response> {
  const { tuning } = tuningOf(c);
  const files = await filesOfOrder(c.env, asked);
  if ("error" in files) {
    const { code, message, param } = files.error;
    throw new CodedError(code, message, param === null ? {} : { param });
  }
  const { id, model, options, trainingFile, validationFile } = asked;
  if (!(await tuning.beginDryRun(id))) {
    throw new CodedError(
      "rate_limit_exceeded",
      "One dry run of a key goes at a time. Wait for it to end, and send this again.",
    );
  }
  const { signal } = c.req.raw;
  const end = () => c.executionCtx.waitUntil(tuning.endDryRun(id));
  signal.addEventListener("abort", end);
  try {
    const answer = await serveRequest(c, {
      task: "tuning-plan",
      model,
      entityModel: null,
      parameters: {},
      inputs: [{ ...files, start: files.start?.kind ?? null, options }],
      rendering: { route: "tuning-plan", trainingFile, validationFile },
      warnings: [],
      units: 0,
      cacheable: false,
      stream: false,
      webhook: {},
    });
    if (!goesOn.includes(answer.status)) end();
    return answer;
  } catch (error) {
    end();
    throw error;
  } finally {
    signal.removeEventListener("abort", end);
  }
}
