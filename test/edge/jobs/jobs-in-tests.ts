/** What tests of jobs have in common: texts nobody asked for before, and jobs as callers see them. */
import { expect } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { call, embed, report, started, succeeded } from "./caller-and-worker.ts";

/** A text no other test has asked for. */
export function fresh(): string {
  return `a text of ${crypto.randomUUID()}`;
}

export async function getJob(
  id: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await call(`/v1/jobs/${id}`, { method: "GET" });
  return { status: response.status, body: await response.json() };
}

export async function accepted(input: string, more: object = {}) {
  const response = await embed(input, { headers: { prefer: "respond-async" }, more });
  expect(response.status).toBe(202);
  const body: Record<string, string> = await response.json();
  return { response, body, id: body["id"] ?? "" };
}

/** The worker starts the job and succeeds. */
export async function answerWith(message: JobMessage) {
  return report(message.shard, [started(message), succeeded(message)]);
}
