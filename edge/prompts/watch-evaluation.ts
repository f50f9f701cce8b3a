/** What became of an optimisation, as its job says. */
import { JobId, shardOfJobId } from "#contract/job-id.ts";
import { PromptReport } from "#contract/prompts/prompt-report.ts";
import { type Prompt, promptLimits } from "#contract/prompts/prompt.ts";
import { openResult } from "../answers/read-result.ts";
import { type Env, settingsOf } from "../environment.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import { shardStub } from "../jobs/shard-stub.ts";

export type EvaluationOutcome =
  | { kind: "running" | "failed" | "gone" | "not_better" | "no_room" }
  | { kind: "winner"; prompt: Prompt; report: PromptReport };

export async function outcomeOf(env: Env, tenant: string, id: string): Promise<EvaluationOutcome> {
  const job = await shardStub(env, shardOfJobId(id) ?? 0).find(JobId.parse(id), tenant);
  if (job === null) return { kind: "gone" };
  if (job.finishedAt === null) return { kind: "running" };
  const { result } = job;
  if (result === null) return { kind: "failed" };
  const opened = await openResult(result, settingsOf(env));
  if (opened === null) return { kind: "gone" };
  let text = "";
  for await (const line of opened.lines()) text ||= line;
  const report = PromptReport.parse(JSON.parse(text));
  const { better = false, prompt = null } = report.optimisation ?? {};
  if (!better || prompt === null) return { kind: "not_better" };
  const bytes = utf8Bytes(JSON.stringify(prompt), promptLimits.versionBytesMax);
  return bytes > promptLimits.versionBytesMax
    ? { kind: "no_room" }
    : { kind: "winner", prompt, report };
}
