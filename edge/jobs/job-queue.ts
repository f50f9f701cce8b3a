/** The job queue as the edge sees it: SendMessageBatch of the SQS JSON protocol, signed by aws4fetch. */
import { AwsClient } from "aws4fetch";
import * as z from "zod";
import type { Settings } from "../environment.ts";
import { withTimeout } from "../http/with-timeout.ts";
import type { Outgoing, SendOutcome } from "./coalescing-sender.ts";

const sendTimeoutMs = 10_000;

const BatchAnswer = z.object({
  Successful: z.array(z.object({ Id: z.string() })).optional(),
  Failed: z.array(z.object({ Id: z.string(), SenderFault: z.boolean() })).optional(),
});

/**
 * Error types of answers 4xx that say nothing of the messages: throttling, keys, a clock that is off, a queue that is
 * not there. They pass, or somebody puts them right.
 */
const passing =
  /thrott|overlimit|unavailable|nonexistent|doesnotexist|denied|token|signature|expired|security|kms|optin/i;
const passingStatuses: readonly number[] = [401, 403, 404, 408, 429];

/**
 * @returns a function that sends one batch and tells, per entry and in order, how it went, or that the batch as a whole
 * is nothing the queue takes. It throws what may pass: no answer, an answer 5xx, or one that is not about the messages.
 */
export function openJobQueue(
  settings: Pick<Settings, "sqs" | "sqsCredentials" | "awsRegion">,
): (batch: readonly Outgoing[]) => Promise<SendOutcome[] | "refused"> {
  // The signing key, derived once a day by four HMACs, is cached inside the client.
  const client = new AwsClient({
    ...settings.sqsCredentials,
    region: settings.awsRegion,
    service: "sqs",
    retries: 0,
  });
  const headers = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "AmazonSQS.SendMessageBatch",
  };
  return async (batch) => {
    const body = JSON.stringify({
      QueueUrl: settings.sqs.queueUrl,
      Entries: batch.map((message, index) => ({
        Id: String(index),
        MessageBody: message.body,
        MessageGroupId: message.group,
      })),
    });
    const url = settings.sqs.endpoint;
    return withTimeout(sendTimeoutMs, async (signal) => {
      const response = await client.fetch(url, { method: "POST", headers, body, signal });
      const answer = await response.text();
      if (response.ok) return outcomes(batch.length, BatchAnswer.parse(JSON.parse(answer)));
      if (isOfMessages(response.status, answer)) return "refused";
      throw new Error(`queue answered ${response.status}: ${answer.slice(0, 500)}`);
    });
  };
}

function isOfMessages(status: number, answer: string): boolean {
  if (status < 400 || status > 499 || passingStatuses.includes(status)) return false;
  const type = /"__type"\s*:\s*"([^"]*)"/.exec(answer)?.[1] ?? "";
  return !passing.test(type);
}

function outcomes(count: number, answer: z.infer<typeof BatchAnswer>): SendOutcome[] {
  const all = Array.from({ length: count }, (): SendOutcome => "retry");
  for (const entry of answer.Successful ?? []) all[Number(entry.Id)] = "sent";
  for (const entry of answer.Failed ?? []) {
    all[Number(entry.Id)] = entry.SenderFault ? "refused" : "retry";
  }
  return all;
}
