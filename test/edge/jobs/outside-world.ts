/**
 * What lies outside the edge, in memory, in place of `fetch`: a queue, an object store, and endpoints of webhooks. The
 * real ones are met by test/e2e; here tests decide when a worker speaks and when the queue is down.
 */
import { vi } from "vitest";
import { env } from "cloudflare:workers";
import { JobMessage } from "../../../contract/job-message.ts";
import { TuningMessage } from "../../../contract/training/tuning-job.ts";
import { settingsOf } from "../../../edge/environment.ts";

export type Hook = { url: string; headers: Headers; body: string };

export type OutsideWorld = {
  /** Messages the queue took, oldest first. */
  messages: JobMessage[];
  /** And the queue of the training pool. */
  trainingMessages: TuningMessage[];
  /** Sends that met a queue which was down. */
  sendsRefused: number;
  objects: Map<string, Uint8Array>;
  /** Whether the object store takes and gives; while it does not, it answers 403, which nobody tries again. */
  storeIsUp: boolean;
  hooks: Hook[];
  /** Whether the queue answers. */
  queueIsUp: boolean;
  answerHook: (hook: Hook, count: number) => Response | Promise<Response>;
};

type Entry = { Id: string; MessageBody: string };

function takeBatch(world: OutsideWorld, body: string): Response {
  if (!world.queueIsUp) {
    world.sendsRefused += 1;
    return new Response("down", { status: 500 });
  }
  const { Entries, QueueUrl } = JSON.parse(body) as { Entries: Entry[]; QueueUrl: string };
  const sent = Response.json({ Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] });
  if (QueueUrl === settingsOf(env).trainingQueueUrl) {
    const jobs = Entries.map((entry) => TuningMessage.parse(JSON.parse(entry.MessageBody)));
    world.trainingMessages.push(...jobs);
    return sent;
  }
  world.messages.push(...Entries.map((entry) => JobMessage.parse(JSON.parse(entry.MessageBody))));
  return sent;
}

async function answer(world: OutsideWorld, request: Request): Promise<Response> {
  const { sqs, s3 } = settingsOf(env);
  if (request.headers.has("x-amz-target")) return takeBatch(world, await request.text());
  const bucket = `${s3.endpoint}/${s3.bucket}/`;
  if (request.url.startsWith(bucket)) {
    if (!world.storeIsUp) return new Response("down", { status: 403 });
    const { searchParams: query } = new URL(request.url);
    if (query.has("list-type")) return listOf(world, query.get("prefix") ?? "");
    const key = request.url.slice(bucket.length);
    if (request.method === "PUT") {
      world.objects.set(key, new Uint8Array(await request.arrayBuffer()));
      return new Response(null, { status: 200 });
    }
    if (request.method === "DELETE") {
      world.objects.delete(key);
      return new Response(null, { status: 204 });
    }
    const found = world.objects.get(key);
    return found === undefined ? new Response(null, { status: 404 }) : new Response(found);
  }
  if (request.url.startsWith(sqs.endpoint)) return new Response("not known", { status: 400 });
  const hook = { url: request.url, headers: request.headers, body: await request.text() };
  world.hooks.push(hook);
  return world.answerHook(hook, world.hooks.length);
}

function listOf({ objects }: OutsideWorld, prefix: string): Response {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix));
  const contents = keys.map((key) => `<Contents><Key>${key}</Key></Contents>`).join("");
  return new Response(`<ListBucketResult>${contents}</ListBucketResult>`);
}

/** Replaces `fetch`; undone by `vi.restoreAllMocks()`. */
export function openOutsideWorld(): OutsideWorld {
  const world: OutsideWorld = {
    messages: [],
    trainingMessages: [],
    sendsRefused: 0,
    objects: new Map(),
    storeIsUp: true,
    hooks: [],
    queueIsUp: true,
    answerHook: () => new Response(null, { status: 200 }),
  };
  vi.spyOn(globalThis, "fetch").mockImplementation((input, init) =>
    answer(world, new Request(input, init)),
  );
  return world;
}
