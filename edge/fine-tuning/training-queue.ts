/** The queue of the training pool: a message names a job, and whoever claims it is told the rest. */
import type { TuningMessage } from "#contract/training/tuning-job.ts";
import type { Settings } from "../environment.ts";
import { openJobQueue } from "../jobs/job-queue.ts";

/** @returns a function that sends the message of one job @throws where the queue did not take it */
export function openTrainingQueue(
  settings: Settings,
): (job: Pick<TuningMessage, "id" | "tenant">) => Promise<void> {
  const { sqs, trainingQueueUrl: queueUrl, sqsCredentials, awsRegion } = settings;
  const sendBatch = openJobQueue({ sqs: { ...sqs, queueUrl }, sqsCredentials, awsRegion });
  return async ({ id, tenant }) => {
    const body = JSON.stringify({ version: 1, id, tenant } satisfies TuningMessage);
    const outcomes = await sendBatch([{ id, body, bytes: body.length, group: tenant }]);
    if (outcomes[0] !== "sent") throw new Error(`the training queue did not take ${id}`);
  };
}
