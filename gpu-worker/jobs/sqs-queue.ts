/**
 * The job queue over SQS: receive, delete, change visibility, in batches of ten. One try per call; the caller
 * decides what a failure means.
 */
import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { queueNumbers } from "#contract/queue.ts";

export type QueueMessage = {
  messageId: string;
  /** Names this receive of the message; needed to delete it or to extend its visibility. */
  receipt: string;
  body: string;
  /** This receive included. */
  receiveCount: number;
};

export type JobQueue = {
  /** A long poll for at most `max` messages, at most 10. */
  receive(max: number): Promise<QueueMessage[]>;
  /** At most 10 receipts. @returns those that may be tried again; a receipt the queue refuses is not among them */
  delete(receipts: readonly string[]): Promise<string[]>;
  /** At most 10 receipts; 0 seconds hands the messages back. @returns as `delete` */
  setVisibility(receipts: readonly string[], seconds: number): Promise<string[]>;
  close(): void;
};

export type SqsQueueOptions = {
  url: string;
  endpoint: string | null;
  region: string;
  /** Length of a long poll. */
  waitSeconds: number;
  /** Null: the machine's role. */
  credentials: { accessKeyId: string; secretAccessKey: string } | null;
};

export function openSqsQueue(options: SqsQueueOptions): JobQueue {
  const client = createClient(options);
  const QueueUrl = options.url;
  return {
    async receive(max) {
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: Math.min(max, queueNumbers.batchEntriesMax),
          WaitTimeSeconds: options.waitSeconds,
          VisibilityTimeout: queueNumbers.visibilityTimeoutSeconds,
          MessageSystemAttributeNames: ["ApproximateReceiveCount"],
        }),
      );
      return Messages.map((message) => ({
        messageId: message.MessageId ?? "",
        receipt: message.ReceiptHandle ?? "",
        body: message.Body ?? "",
        receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
      }));
    },
    async delete(receipts) {
      const Entries = receipts.map((ReceiptHandle, index) => ({
        Id: String(index),
        ReceiptHandle,
      }));
      const { Failed } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
      return repeatable(receipts, Failed);
    },
    async setVisibility(receipts, VisibilityTimeout) {
      const Entries = receipts.map((ReceiptHandle, index) => ({
        Id: String(index),
        ReceiptHandle,
        VisibilityTimeout,
      }));
      const { Failed } = await client.send(
        new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }),
      );
      return repeatable(receipts, Failed);
    },
    close: () => client.destroy(),
  };
}

function createClient(options: SqsQueueOptions): SQSClient {
  return new SQSClient({
    region: options.region,
    ...(options.endpoint === null ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === null ? {} : { credentials: options.credentials }),
    // The callers retry, and bodies are checked by their own schema: both cost time on every message.
    maxAttempts: 1,
    md5: false,
    requestHandler: {
      connectionTimeout: 3_000,
      requestTimeout: (options.waitSeconds + 10) * 1_000,
    },
  });
}

function repeatable(
  receipts: readonly string[],
  failed: readonly BatchResultErrorEntry[] = [],
): string[] {
  return failed
    .filter((entry) => entry.SenderFault !== true)
    .flatMap((entry) => receipts[Number(entry.Id)] ?? []);
}
