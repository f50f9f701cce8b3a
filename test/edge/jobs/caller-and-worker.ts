/** The two sides of the edge, played by tests: a caller, and a worker that signs what it posts. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import {
  EventsResponse,
  type FailedEvent,
  type JobEvent,
  type SucceededEvent,
} from "../../../contract/events.ts";
import { type JobResult, resultDocument } from "../../../contract/result-document.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { signatureHeader, signedPrefix, timestampHeader } from "../../../contract/signature.ts";
import { app } from "../../../edge/app.ts";
import { settingsOf } from "../../../edge/environment.ts";
import { isolateBindings } from "../isolate.ts";
import type { OutsideWorld } from "./outside-world.ts";

const origin = "https://edge.test";
const encoder = new TextEncoder();

export type Call = {
  method?: string;
  headers?: Record<string, string>;
  body?: unknown;
  signal?: AbortSignal;
  /** Bindings other than those of wrangler.toml, for this call alone. */
  bindings?: Record<string, string>;
};

/** As the operator, unless an `authorization` says otherwise. */
export async function call(path: string, options: Call = {}): Promise<Response> {
  const { method = "POST", headers, body, signal, bindings } = options;
  const request = new Request(`${origin}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${settingsOf(env).operatorKey}`,
      "content-type": "application/json",
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const context = createExecutionContext();
  const bound = bindings === undefined ? isolateBindings() : { ...env, ...bindings };
  const response = await app.fetch(request, bound, context);
  // A stream is under way for as long as it is read.
  if (!isStream(response)) await waitOnExecutionContext(context);
  return response;
}

function isStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") === true;
}

export function embed(input: unknown, options: Call & { more?: object } = {}): Promise<Response> {
  const { more, ...rest } = options;
  const body = { model: "all-MiniLM-L6-v2", input, encoding_format: "base64", ...more };
  return call("/v1/embeddings", { body, ...rest });
}

export async function sent(world: OutsideWorld, index = 0): Promise<JobMessage> {
  const look = () => {
    const message = world.messages[index];
    if (message === undefined) throw new Error(`${world.messages.length} messages`);
    return message;
  };
  // Its own default gives up after a second, which the largest take where the machine has other work too.
  return vi.waitFor(look, { interval: 5, timeout: 60_000 });
}

/** A unit vector of three numbers, little-endian f32. */
export const vector = btoa(
  String.fromCharCode(...new Uint8Array(new Float32Array([0.6, 0, -0.8]).buffer)),
);

export function resultOf(message: JobMessage, changed: Partial<JobResult> = {}): JobResult {
  const { task, model } = message;
  const count = Array.isArray(message.inputs) ? message.inputs.length : 1;
  return {
    task,
    model,
    modelDigest: "digest-of-the-test",
    outputs: Array.from({ length: count }, () => vector),
    usage: { promptTokens: 7 * count },
    warnings: [],
    ...changed,
  };
}

function common({ id, tenant, requestKey }: JobMessage, sequence: number) {
  return { jobId: id, tenant, requestKey, sequence };
}

export function started(message: JobMessage, sequence = 1): JobEvent {
  return { type: "started", ...common(message, sequence) };
}

export function succeeded(message: JobMessage, sequence = 2): SucceededEvent {
  const result = resultOf(message);
  const { modelDigest, usage } = result;
  const document = resultDocument(result);
  return { type: "succeeded", ...common(message, sequence), modelDigest, usage, result: document };
}

export function failed(
  message: JobMessage,
  sequence = 2,
  more: Partial<Pick<FailedEvent, "error" | "usage">> = {},
): JobEvent {
  const error = { code: "context_length_exceeded", message: "too long", param: "input" } as const;
  return { type: "failed", ...common(message, sequence), error, ...more };
}

/** Given up by the worker after so many tokens. */
export function cancelled(message: JobMessage, promptTokens: number, sequence = 2): JobEvent {
  return { type: "cancelled", ...common(message, sequence), usage: { promptTokens } };
}

async function sign(secret: string, text: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, [
    "sign",
  ]);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What a worker's call bears. */
export async function signedHeaders(
  method: string,
  path: string,
  body: string,
): Promise<Record<string, string>> {
  const timestamp = Math.floor(Date.now() / 1_000);
  const secret = settingsOf(env).callbackSecrets[0] ?? "";
  const signature = await sign(secret, signedPrefix(timestamp, method, path) + body);
  return { [timestampHeader]: String(timestamp), [signatureHeader]: `v1=${signature}` };
}

/** Posts a text as a worker would. */
export async function postAsWorker(path: string, body: string): Promise<Response> {
  const context = createExecutionContext();
  const headers = await signedHeaders("POST", path, body);
  const request = new Request(`${origin}${path}`, { method: "POST", headers, body });
  const response = await app.fetch(request, isolateBindings(), context);
  await waitOnExecutionContext(context);
  return response;
}

/**
 * Calls made before have reached their shards: on its way there a call for a model without a digest asks the registry,
 * which answers in order.
 */
async function callsArrived(): Promise<void> {
  const registry = env.REGISTRY.getByName("registry");
  await registry.list();
  await registry.list();
}

/** Posts events of one shard, and jobs held. */
export async function report(
  shard: number,
  events: JobEvent[],
  inFlight: string[] = [],
): Promise<EventsResponse> {
  await callsArrived();
  const body = JSON.stringify({ worker: "worker-of-the-test", events, inFlight });
  const response = await postAsWorker(`/internal/shards/${shard}/events`, body);
  expect(response.status).toBe(200);
  return EventsResponse.parse(await response.json());
}
