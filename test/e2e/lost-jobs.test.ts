/** Jobs whose workers and messages are lost, on the whole running stack with its real queue: none stays open. */
import { PurgeQueueCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { queueNames, queueNumbers } from "../../contract/queue.ts";
import { readRun } from "../../infra/local/run-file.ts";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

type Job = { id: string; status: string; error: { code: string } | null };

let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack({ env: { SILENT_WORK_SECONDS: "8" } });
});

afterAll(() => stack.stop());

function headers(): Record<string, string> {
  return {
    "content-type": "application/json",
    authorization: `Bearer ${stack.operatorKey}`,
    prefer: "respond-async",
  };
}

async function accept(input: string | string[]): Promise<Job> {
  const body = JSON.stringify({ model: "all-MiniLM-L6-v2", input });
  const response = await fetch(`${stack.url}/v1/embeddings`, {
    method: "POST",
    headers: headers(),
    body,
  });
  expect(response.status).toBe(202);
  return (await response.json()) as Job;
}

async function look(id: string): Promise<Job> {
  const response = await fetch(`${stack.url}/v1/jobs/${id}`, { headers: headers() });
  return (await response.json()) as Job;
}

async function ends(id: string, status: string): Promise<Job> {
  return vi.waitFor(
    async () => {
      const job = await look(id);
      expect(job.status).toBe(status);
      return job;
    },
    { timeout: 120_000, interval: 50 },
  );
}

function withQueue<T>(use: (client: SQSClient, QueueUrl: string) => Promise<T>): Promise<T> {
  const endpoint = `http://127.0.0.1:${readRun(stack.state)?.ports.queue}`;
  const credentials = { accessKeyId: "local", secretAccessKey: "local" };
  const client = new SQSClient({ endpoint, region: "us-east-1", credentials });
  const url = `${endpoint}/000000000000/${queueNames.jobs}`;
  return use(client, url).finally(() => client.destroy());
}

/**
 * Takes the queue's next message as a worker does that dies at once.
 * @returns how often it was taken; 0: there is none
 */
async function takeAndDie(
  client: SQSClient,
  QueueUrl: string,
  WaitTimeSeconds = 0,
): Promise<number> {
  const receive = new ReceiveMessageCommand({
    QueueUrl,
    WaitTimeSeconds,
    VisibilityTimeout: 0,
    MessageSystemAttributeNames: ["ApproximateReceiveCount"],
  });
  const { Messages = [] } = await client.send(receive);
  return Number(Messages[0]?.Attributes?.ApproximateReceiveCount ?? 0);
}

it("answers a job whose worker was killed and whose message went with it", async () => {
  const texts = Array.from(
    { length: 1_000 },
    (_, i) => `sentence ${i}: ${"many words ".repeat(20)}`,
  );
  const { id } = await accept(texts);
  await ends(id, "processing");
  await stack.pause("worker");
  await withQueue((client, QueueUrl) => client.send(new PurgeQueueCommand({ QueueUrl })));
  await stack.kill("worker");
  expect((await look(id)).status).toBe("processing");
  await ends(id, "succeeded");
});

it("fails a job whose message is in the dead-letter queue", async () => {
  await stack.pause("worker");
  // The paused worker's long poll still stands at the server and would take the message: it ends before this one.
  expect(await withQueue((client, url) => takeAndDie(client, url, 2))).toBe(0);
  const { id } = await accept("nobody can compute this");
  await withQueue(async (client, url) => {
    await vi.waitFor(
      async () => expect(await takeAndDie(client, url)).toBe(queueNumbers.maxReceiveCount),
      { timeout: 120_000, interval: 20 },
    );
    expect(await takeAndDie(client, url)).toBe(0);
  });
  await stack.resume("worker");
  expect(await ends(id, "failed")).toMatchObject({ error: { code: "worker_lost" } });
});
