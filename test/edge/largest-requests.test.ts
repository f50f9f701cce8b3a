/**
 * The largest requests that the schema of each task admits, in characters of every width: each forms a queue message
 * within the queue's bound. What is larger is refused, and names its field.
 */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { JobMessage } from "../../contract/job-message.ts";
import { queueNumbers } from "../../contract/queue.ts";
import { type Task, tasks } from "../../contract/tasks.ts";
import type { JobSpec } from "../../edge/jobs/job-spec.ts";
import { queueText } from "../../edge/jobs/queue-text.ts";
import { settingsOf } from "../../edge/environment.ts";
import { taskNames } from "#contract/task-table.ts";
import { call, errorOf, freshAddress } from "./caller.ts";
import { allRounder, announce } from "./stand-in-worker.ts";
import { sampleOf } from "./task-samples.ts";

/** One of each width in JSON and in UTF-8, with what must be escaped for JSON or for the queue. */
const characters = ["a", "é", "京", "😀", '"', "\\", "\n", "\u0001", "\uffff", "\ud83d"];

/** Bodies of the messages that the queue took. */
let bodies: string[] = [];

/** A queue that refuses what SQS does, and an object store. */
function outside(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  return answer(new Request(input, init));
}

async function answer(request: Request): Promise<Response> {
  if (!request.headers.has("x-amz-target")) return new Response(null, { status: 200 });
  const { Entries: entries } = await request.json<{
    Entries: { Id: string; MessageBody: string }[];
  }>();
  bodies.push(...entries.map(({ MessageBody }) => MessageBody));
  return Response.json({ Successful: entries.map(({ Id }) => ({ Id })) });
}

beforeEach(async () => {
  bodies = [];
  vi.stubGlobal("fetch", outside);
  await announce([allRounder]);
});
afterEach(() => vi.unstubAllGlobals());

type JsonSchema = {
  type?: string;
  maxLength?: number;
  maxItems?: number;
  maximum?: number;
  enum?: unknown[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
};

/** The largest value of a schema, whose texts are of one character and share `most` of it. */
function largest(schema: JsonSchema, character: string, most: number, at = 0): unknown {
  const { type, maxLength = 0, maxItems = 0, items = {}, properties = {} } = schema;
  if (schema.enum !== undefined) return schema.enum[0];
  if (type === "boolean") return true;
  if (type === "integer") return schema.maximum ?? 1;
  if (type === "string") {
    // Told apart by how they begin, in as many ways as a list of labels may have.
    const length = Math.min(maxLength, Math.floor(most));
    return (String(at % 50) + character.repeat(length)).slice(0, Math.max(1, length));
  }
  if (type === "array") {
    return Array.from({ length: maxItems }, (_, index) =>
      largest(items, character, most / maxItems, index),
    );
  }
  const fields = Object.entries(properties);
  return Object.fromEntries(
    fields.map(([name, field]) => [name, largest(field, character, most / fields.length, at)]),
  );
}

/** The largest parameters that the task's schema admits; each field by itself, as much as it takes. */
function largestParameters(task: Task, character: string): Record<string, unknown> {
  const { parameters } = tasks[task];
  const base = sampleOf(task).parameters;
  const { properties = {} } = z.toJSONSchema(parameters, { io: "input" }) as JsonSchema;
  const made = { ...base };
  for (const [name, schema] of Object.entries(properties)) {
    const admitted = (most: number) =>
      parameters.safeParse({ ...base, [name]: largest(schema, character, most) }).success;
    let [low, high] = [0, 2_000_000];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (admitted(middle)) low = middle;
      else high = middle;
    }
    if (admitted(low)) made[name] = largest(schema, character, low);
  }
  return parameters.parse(made);
}

const encoder = new TextEncoder();

describe.each(taskNames.filter((task) => task !== "noop"))("the largest %s", (task) => {
  it("forms a message that the queue takes, in any script", async () => {
    for (const character of characters) {
      const parameters = largestParameters(task, character);
      const { inputs } = sampleOf(task);
      const body = { model: allRounder.id, inputs, parameters };
      // Each is a job of its own, though tasks whose parameters hold no text are asked the same.
      const headers = { prefer: "respond-async", "cache-control": "no-store" };
      const response = await call(`/v1/tasks/${task}`, body, { operator: true, headers });
      expect(response.status, await response.clone().text()).toBe(202);
    }
    await vi.waitFor(() => expect(bodies).toHaveLength(characters.length));
    for (const body of bodies) {
      expect(encoder.encode(body).byteLength).toBeLessThanOrEqual(queueNumbers.messageBytesMax);
      expect(JobMessage.safeParse(JSON.parse(body)).success).toBe(true);
    }
  });
});

const labels = (count: number) =>
  Array.from({ length: count }, (_, at) => `${at}${"é".repeat(987)}`);

describe("a list of parameters that is too large", () => {
  it.each<[Task, string, Record<string, unknown>]>([
    ["token-classification", "parameters.ignore_labels", { ignore_labels: labels(700) }],
    ["zero-shot-classification", "parameters.candidate_labels", { candidate_labels: labels(99) }],
    ["fill-mask", "parameters.targets", { targets: Array(1_000).fill("é".repeat(99)) }],
  ])("is refused by %s, and named", async (task, param, parameters) => {
    const { inputs } = sampleOf(task);
    const body = { model: allRounder.id, inputs, parameters };
    const options = { address: freshAddress(), headers: { prefer: "respond-async" } };
    const refused = await errorOf(await call(`/v1/tasks/${task}`, body, options));
    expect(refused).toMatchObject({ status: 400, code: "invalid_value", param });
    expect(refused.message).toMatch(/\d+ characters in all, at most 65536/);
    expect(bodies).toEqual([]);
  });
});

describe("parameters that no schema bounds", () => {
  const spec: JobSpec = {
    id: "job_0_0123456789abcdef0123456789abcdef",
    shard: 0,
    tenant: "local",
    task: "token-classification",
    model: "m",
    entityModel: null,
    parameters: { stride: 3, ignore_labels: Array(200).fill("\u0001".repeat(1_000)) },
    inputs: '["x"]',
    requestKey: null,
    rendering: { route: "tasks" },
    warnings: [],
    stream: false,
    webhook: null,
  };

  it("are measured in the message they form, and the largest is named as the route knows it", async () => {
    await expect(queueText(spec, settingsOf(env), 1)).rejects.toMatchObject({
      code: "invalid_value",
      param: "parameters.ignore_labels",
      message: expect.stringMatching(/ignore_labels takes 1200\d{3} bytes/),
    });
    const rendering = { route: "hugging-face", task: "feature-extraction", single: true } as const;
    await expect(queueText({ ...spec, rendering }, settingsOf(env), 1)).rejects.toMatchObject({
      param: "ignore_labels",
    });
  });
});
