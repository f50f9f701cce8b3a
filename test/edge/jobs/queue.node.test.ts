/**
 * What is sent, by the sender and the client of the product, to the queue server of a local stack: a real one that
 * refuses.
 */
import { type FauxqsServer, startFauxqs } from "fauxqs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { queueNumbers } from "../../../contract/queue.ts";
import { CoalescingSender } from "../../../edge/jobs/coalescing-sender.ts";
import { openJobQueue } from "../../../edge/jobs/job-queue.ts";

let server: FauxqsServer;

beforeAll(async () => {
  server = await startFauxqs({ port: 0, logger: false });
  server.createQueue("jobs");
});
afterAll(() => server.stop());

function settings(queue: string) {
  const endpoint = `http://127.0.0.1:${server.port}`;
  return {
    sqs: { endpoint, queueUrl: `${endpoint}/000000000000/${queue}` },
    sqsCredentials: { accessKeyId: "any", secretAccessKey: "any" },
    awsRegion: "us-east-1",
  };
}

function openSender(queue: string) {
  const [sent, refused, failures]: [string[], string[], unknown[]] = [[], [], []];
  const gone = new Set<string>();
  const sender = new CoalescingSender(
    {
      entriesMax: queueNumbers.batchEntriesMax,
      // More than the queue takes: whatever was measured, what it refuses must harm nobody else.
      bytesMax: 100 * queueNumbers.batchBytesMax,
      inFlightMax: 2,
      pauseMsMin: 1,
      pauseMsMax: 20,
    },
    {
      sendBatch: openJobQueue(settings(queue)),
      isWanted: (id) => !gone.has(id),
      onSent: (id) => sent.push(id),
      onRefused: (id) => refused.push(id),
      onFailure: (error) => failures.push(error),
      random: () => 0,
    },
  );
  const send = (id: string, body: string) =>
    sender.send({ id, body, bytes: body.length, group: "tenant" });
  return { send, sent, refused, failures, gone };
}

const small = "a small message";
const over = "x".repeat(queueNumbers.messageBytesMax + 1);

it("refuses each message over the bound by itself, and takes those sent with it", async () => {
  const { send, sent, refused, failures } = openSender("jobs");
  const ids = Array.from({ length: 40 }, (_, at) => `${at % 8 === 3 ? "over" : "small"}-${at}`);
  for (const id of ids) send(id, id.startsWith("over") ? over : small);
  await vi.waitFor(() => expect(sent.length + refused.length).toBe(ids.length), 60_000);
  expect(refused.toSorted()).toEqual(ids.filter((id) => id.startsWith("over")).toSorted());
  expect(failures).toEqual([]);
});

it("takes a message of exactly the bound, and characters that it takes only escaped", async () => {
  const { send, sent, refused } = openSender("jobs");
  send("bound", "x".repeat(queueNumbers.messageBytesMax));
  send("raw", "\uffff");
  send("escaped", JSON.stringify("\\uffff"));
  await vi.waitFor(() => expect(sent.length + refused.length).toBe(3), 60_000);
  expect(sent.toSorted()).toEqual(["bound", "escaped"]);
  expect(refused).toEqual(["raw"]);
});

it("sends batches that are too large together in parts", async () => {
  const { send, sent, refused } = openSender("jobs");
  const ids = Array.from({ length: 12 }, (_, at) => `part-${at}`);
  for (const id of ids) send(id, "x".repeat(300_000));
  await vi.waitFor(() => expect(sent).toHaveLength(ids.length), 60_000);
  expect(refused).toEqual([]);
});

it("holds what a queue that is not there cannot take, and refuses nothing", async () => {
  const { send, sent, refused, failures, gone } = openSender("missing");
  send("a", small);
  await vi.waitFor(() => expect(failures.length).toBeGreaterThan(2), 60_000);
  expect(String(failures[0])).toMatch(/queue answered 4\d\d/);
  server.createQueue("missing");
  await vi.waitFor(() => expect(sent).toEqual(["a"]), 60_000);
  expect(refused).toEqual([]);
  gone.add("a");
});
