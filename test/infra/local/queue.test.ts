/** The queue server as the launcher runs it, spoken to by the real SDK. */
import { once } from "node:events";
import path from "node:path";
import { networkInterfaces } from "node:os";
import { createConnection } from "node:net";
import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import process from "node:process";
import { expect, it, onTestFinished } from "vitest";
import { queueNames, queueNumbers } from "#contract/queue.ts";
import { settingsEnvironment } from "../../../infra/local/child-protocol.ts";
import { freePorts } from "../../../infra/local/free-ports.ts";
import { waitForEnd } from "../../../infra/local/process-identity.ts";
import { SupervisedChild } from "../../../infra/local/supervised-child.ts";
import { temporaryFolder } from "./temporary-folder.ts";

async function startQueue() {
  const folder = temporaryFolder();
  const [port = 0] = await freePorts(1);
  const pids: number[] = [];
  let listening = Promise.withResolvers<void>();
  const child = new SupervisedChild(
    {
      name: "queue",
      script: path.resolve(import.meta.dirname, "../../../infra/local/queue.ts"),
      env: {
        ...process.env,
        ...settingsEnvironment({ port, dataFolder: path.join(folder, "queue"), bucket: "files" }),
      },
      logFile: path.join(folder, "queue.log"),
      drains: false,
    },
    {
      onStart: (pid) => pids.push(pid),
      onMessage: ({ type }) => type === "listening" && listening.resolve(),
      onEnd: () => {},
    },
  );
  child.start();
  onTestFinished(() => child.stop(2_000));
  await listening.promise;
  const sqs = new SQSClient({
    region: "us-east-1",
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  });
  const QueueUrl = `http://127.0.0.1:${port}/000000000000/${queueNames.jobs}`;
  const killAndWait = async () => {
    listening = Promise.withResolvers<void>();
    const victim = pids.at(-1) ?? 0;
    process.kill(victim, "SIGKILL");
    await waitForEnd(victim, 10_000);
    await listening.promise;
  };
  return { port, sqs, QueueUrl, killAndWait };
}

it("has the contract's numbers and keeps its messages through kill −9", async () => {
  const { sqs, QueueUrl, killAndWait } = await startQueue();
  const sent = Array.from({ length: 40 }, (_, i) => `message ${i}`);
  for (const MessageBody of sent) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));

  await killAndWait();

  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }),
  );
  expect(Attributes).toMatchObject({
    VisibilityTimeout: String(queueNumbers.visibilityTimeoutSeconds),
    ApproximateNumberOfMessages: String(sent.length),
  });
  expect(JSON.parse(Attributes?.["RedrivePolicy"] ?? "")).toEqual({
    deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${queueNames.deadLetter}`,
    maxReceiveCount: String(queueNumbers.maxReceiveCount),
  });
  const received: (string | undefined)[] = [];
  while (received.length < sent.length) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
    );
    if (Messages.length === 0) break;
    for (const { Body, ReceiptHandle } of Messages) {
      received.push(Body);
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  }
  expect(received.toSorted()).toEqual(sent.toSorted());
});

it("is there for this machine alone", async () => {
  const { port } = await startQueue();
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address !== undefined && !address.internal && address.family === "IPv4");
  if (outside === undefined) {
    console.log("skipped: this machine has no address but loopback");
    return;
  }
  const socket = createConnection({ host: outside.address, port });
  const [error] = await once(socket, "error");
  expect(error).toMatchObject({ code: "ECONNREFUSED" });
});
