/**
 * What stands behind the edge in tests of its front: a queue at the SQS address, and a worker that answers each message
 * by signed events, as contract/ words both. Everything between the caller and these two is the product itself.
 */
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { type JobResult, resultDocument } from "../../contract/result-document.ts";
import type { PublicError } from "../../contract/errors.ts";
import { JobMessage } from "../../contract/job-message.ts";
import { type ModelState, digestsIn } from "../../contract/models.ts";
import { taskNames } from "#contract/task-table.ts";
import { postAsWorker } from "./jobs/caller-and-worker.ts";
import { outputOf } from "./task-samples.ts";

export { vector } from "./task-samples.ts";

export const digest = "test-digest";
export const miniLm: ModelState = {
  id: "all-MiniLM-L6-v2",
  aliases: ["sentence-transformers/all-MiniLM-L6-v2"],
  tasks: ["feature-extraction", "sentence-similarity"],
  status: "available",
  progress: null,
  reason: null,
  loaded: true,
  digest,
  sizeBytes: 22_000_000,
  limits: { maxTokens: 256, dimensions: 384, vocabularySize: 30_522 },
  licence: "apache-2.0",
};

/** A model of every task, with no vectors. */
export const allRounder: ModelState = {
  ...miniLm,
  id: "all-rounder",
  aliases: ["somebody/all-rounder"],
  tasks: taskNames.filter((task) => task !== "noop"),
  limits: { maxTokens: 512, dimensions: null, vocabularySize: 30_522 },
};

/** A model that writes. */
export const decoder: ModelState = {
  ...miniLm,
  id: "SmolLM2-135M-Instruct",
  aliases: ["HuggingFaceTB/SmolLM2-135M-Instruct"],
  tasks: ["text-generation", "chat-completion"],
  limits: { maxTokens: 2_048, dimensions: null, vocabularySize: 49_152 },
};

export const similarities = [0.5, -0.25];

/** Tokens the stand-in says it read of each job. */
export const tokensRead = 7;

/** What the worker makes of a message; "nothing": it never answers. */
export type Answer = (message: JobMessage) => JobResult | PublicError | "nothing";

export const succeed: Answer = ({ task, model, inputs }) => {
  const given = Array.isArray(inputs) ? inputs : [];
  const output = task === "sentence-similarity" ? similarities : outputOf(task);
  return {
    task,
    model,
    modelDigest: digest,
    outputs: given.map((input) => (task === "noop" ? input : output)),
    usage: { promptTokens: task === "noop" ? 0 : tokensRead },
    warnings: [],
  };
};

/** One output, whatever is asked. */
export function saying(output: unknown, usage: JobResult["usage"]): Answer {
  return ({ task, model }) => ({
    task,
    model,
    modelDigest: digest,
    outputs: [output],
    usage,
    warnings: [],
  });
}

/** Messages that were queued, in order. Emptied by `install`. */
export const messages: JobMessage[] = [];

let working: Promise<void>[] = [];

/** Resolves when the edge has dealt with all that was reported: callers get their results before. */
export async function allReported(): Promise<void> {
  await Promise.all(working);
}

/** Takes the place of the network below the edge until `vi.unstubAllGlobals()`. */
export function install(answer: Answer = succeed): void {
  messages.length = 0;
  working = [];
  vi.stubGlobal("fetch", async (input: RequestInfo, init?: RequestInit) => {
    const request = new Request(input, init);
    if (!request.url.startsWith(env.SQS_ENDPOINT)) return new Response(null, { status: 502 });
    // Of an object.
    if (request.method === "DELETE") return new Response(null, { status: 204 });
    const body: { Entries: { Id: string; MessageBody: string }[] } = await request.json();
    const batch = body.Entries.map((entry) => JobMessage.parse(JSON.parse(entry.MessageBody)));
    messages.push(...batch);
    working.push(work(batch, answer));
    return Response.json({ Successful: body.Entries.map(({ Id }) => ({ Id })) });
  });
}

async function work(batch: readonly JobMessage[], answer: Answer): Promise<void> {
  for (const message of batch) {
    const made = answer(message);
    if (made !== "nothing") await report(message, made);
  }
}

/** Ids of the models that had a part in a job's result, as `modelDigest` joins their digests. */
function modelsOf({ model, parameters }: JobMessage): string[] {
  const other = "entity_model" in parameters ? parameters.entity_model : undefined;
  return other === undefined ? [model] : [model, other];
}

/** Posts the end of a job, as a worker would. */
export function report(message: JobMessage, made: JobResult | PublicError): Promise<Response> {
  const { id: jobId, tenant, requestKey, shard } = message;
  const end =
    "code" in made
      ? { type: "failed", error: made }
      : {
          type: "succeeded",
          modelDigest: made.modelDigest,
          usage: made.usage,
          result: resultDocument(made),
          models: digestsIn(made.modelDigest, modelsOf(message)),
        };
  const events = [{ jobId, sequence: 1, tenant, requestKey, ...end }];
  const body = JSON.stringify({ worker: "stand-in", events, inFlight: [] });
  return postAsWorker(`/internal/shards/${shard}/events`, body);
}

export function announce(models: ModelState[] = [miniLm], worker = "stand-in"): Promise<Response> {
  return postAsWorker("/internal/workers", JSON.stringify({ worker, models }));
}
