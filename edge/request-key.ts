/**
 * What makes two requests the same one: tenant, task, model, parameters and inputs, as their schemas left them (known
 * fields, in the schema's order, nothing else). How the result is worded is no part of it, nor is the model's digest,
 * which stands beside it in the cache key.
 */
import type { Task } from "#contract/tasks.ts";

export type KeyedRequest = {
  tenant: string;
  task: Task;
  model: string;
  parameters: Record<string, unknown>;
  inputs: readonly unknown[];
};

/** @returns sha256, 64 lower-case hex digits */
export async function requestKeyOf(request: KeyedRequest): Promise<string> {
  const { tenant, task, model, parameters, inputs } = request;
  const canonical = JSON.stringify([tenant, task, model, parameters, inputs]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonical));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
