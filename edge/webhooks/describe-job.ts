/**
 * The Job object as a webhook carries it: with its output where that is small, else with a link to it. No large result
 * is ever read here: alarms run beside everything else a shard does.
 */
import { limits } from "#contract/limits.ts";
import type { Usage } from "#contract/result-document.ts";
import { emptyJob, jobFrame } from "../answers/job-document.ts";
import type { Job } from "../answers/job.ts";
import { outputLink } from "../answers/output-link.ts";
import { openResult } from "../answers/read-result.ts";
import { render } from "../answers/render.ts";
import type { Settings } from "../environment.ts";
import { utf8Bytes } from "../http/utf8-bytes.ts";
import type { StoredResult } from "../storage/stored-result.ts";
import type { Webhook } from "./webhook.ts";

const outputBytesMax = limits.webhookOutputBytesMax;
/** A result of more characters is not rendered to see whether its output happens to be smaller. */
const resultCharactersMax = 2 * outputBytesMax;

export async function describeJob(job: Job, webhook: Webhook, settings: Settings): Promise<string> {
  const { result } = job;
  if (result === null) return emptyJob(job, null);
  const small = smallJob(job, result);
  if (small !== null) return small;
  const link = await outputLink(
    {
      origin: webhook.origin ?? "",
      id: job.id,
      // The same in every try: receivers may compare.
      expires: Math.floor((job.finishedAt ?? 0) / 1_000) + limits.resultRetentionSeconds,
    },
    settings.callbackSecrets[0] ?? "",
  );
  return emptyJob(job, await usageOf(result, settings), { output_url: link });
}

function smallJob(job: Job, stored: StoredResult): string | null {
  if (stored.kind === "reference" || stored.document.length > resultCharactersMax) return null;
  const { head, body } = render(job.rendering, stored.document, job.warnings);
  if (utf8Bytes(body, outputBytesMax) > outputBytesMax) return null;
  const { before, after } = jobFrame(job, head.usage);
  return `${before}${body}${after}`;
}

/** Null: the result is gone. */
async function usageOf(stored: StoredResult, settings: Settings): Promise<Usage | null> {
  const open = await openResult(stored, settings);
  await open?.cancel();
  return open?.head.usage ?? null;
}
