/** Fine-tuning as tests play it: the caller, the worker that checks files and loads models, and one that trains. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import { shardOfJobId } from "../../../contract/job-id.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { resultDocument } from "../../../contract/result-document.ts";
import { tasks } from "../../../contract/tasks.ts";
import type { FileReport } from "../../../contract/training/report.ts";
import type {
  TuningClaimAnswer,
  TuningOrder,
  TuningReport,
  TuningReportAnswer,
} from "../../../contract/training/tuning-job.ts";
import type { TunedModel } from "../../../contract/training/tuned-model.ts";
import { formatFileId, keyOfFile, type StoredFile } from "../../../edge/files/stored-file.ts";
import type { TuningJobObject } from "../../../edge/fine-tuning/show-job.ts";
import { shardStub } from "../../../edge/jobs/shard-stub.ts";
import { call } from "../caller.ts";
import { postAsWorker } from "../jobs/caller-and-worker.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { announce, miniLm } from "../stand-in-worker.ts";
import { tunedModel } from "./tuned-model-sample.ts";

export const tenant = "operator";
export const tuning = () => env.TUNING.getByName(tenant);
const jobsPath = "/v1/fine_tuning/jobs";
const hex = "0".repeat(64);

/** As if the key had never tuned anything. */
export async function forgetTuning(): Promise<void> {
  await runInDurableObject(tuning(), (_, { storage }) => {
    for (const table of ["jobs", "events", "counts", "checkpoints", "reservations", "creations"])
      storage.sql.exec(`DELETE FROM ${table}`);
    storage.sql.exec("UPDATE meter SET unitsUsed = 0, debt = 0, day = 0");
  });
}

/** Before a test: a world around the edge, a base to tune, and nothing tuned yet. */
export async function beginTuning(bases = [miniLm]): Promise<OutsideWorld> {
  const world = openOutsideWorld();
  await announce(bases);
  await forgetTuning();
  return world;
}

/** After it. */
export async function endTuning(): Promise<void> {
  await forgetTuning();
  vi.restoreAllMocks();
}

/** What alarms bring about. */
const often = { interval: 10, timeout: 60_000 };
let uploads = 0;

/** A file that was uploaded, and is not checked yet. */
export async function upload(): Promise<string> {
  uploads += 1;
  const id = formatFileId(String(uploads).padStart(32, "0"));
  const stub = env.FILES.getByName(tenant);
  expect(await stub.begin(id, 10)).toBeNull();
  const file: StoredFile = {
    id,
    key: keyOfFile(id),
    filename: `${id}.jsonl`,
    purpose: "fine-tune",
    bytes: 10,
    sha256: hex,
    createdAt: Math.floor(Date.now() / 1_000),
    expiresAt: null,
    status: "uploaded",
    statusDetails: null,
  };
  expect(await stub.end(tenant, file)).toBe(true);
  return id;
}

export const goodReport: FileReport = tasks["file-check"].example.output;

/** A worker reads the file, and says what is in it. */
export async function check(
  world: OutsideWorld,
  file: string,
  found: Partial<FileReport> = {},
): Promise<void> {
  const message = await messageOf(
    world,
    ({ task, inputs }) => task === "file-check" && JSON.stringify(inputs).includes(file),
  );
  await succeed(message, { ...goodReport, ...found });
}

export async function checkedFile(
  world: OutsideWorld,
  found: Partial<FileReport> = {},
): Promise<string> {
  const file = await upload();
  await check(world, file, found);
  return file;
}

/** The last such message of the pool that serves. */
export function messageOf(
  world: OutsideWorld,
  isIt: (message: JobMessage) => boolean,
): Promise<JobMessage> {
  return vi.waitFor(async () => {
    await runDurableObjectAlarm(tuning());
    const found = world.messages.findLast(isIt);
    if (found === undefined) throw new Error("no such message");
    return found;
  }, often);
}

/** A worker ends a job of the pool that serves. */
export async function succeed({ id, task, model }: JobMessage, output: unknown): Promise<void> {
  const result = { task, model, modelDigest: "d", outputs: [output], warnings: [] };
  const document = resultDocument({ ...result, usage: { promptTokens: 0 } });
  const stored = { kind: "inline", document } as const;
  const event = { jobId: id, sequence: 1, kind: "succeeded", units: 0, result: stored } as const;
  await shardStub(env, shardOfJobId(id) ?? 0).receive({ events: [event], inFlight: [] });
}

export async function fail({ id }: JobMessage, code: "worker_lost" | "model_not_servable") {
  const error = { code, message: "it cannot be loaded", param: null } as const;
  const event = { jobId: id, sequence: 1, kind: "failed", units: 0, error } as const;
  await shardStub(env, shardOfJobId(id) ?? 0).receive({ events: [event], inFlight: [] });
}

export function post(path: string, body?: unknown): Promise<Response> {
  return call(`${jobsPath}${path}`, body, { method: "POST", operator: true });
}

export function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return call(`${jobsPath}${path}`, undefined, { operator: true, headers });
}

export async function create(more: Record<string, unknown> = {}): Promise<TuningJobObject> {
  const response = await post("", { model: "all-MiniLM-L6-v2", ...more });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return JSON.parse(text);
}

export async function retrieve(id: string): Promise<TuningJobObject> {
  return (await get(`/${id}`)).json();
}

/** Once it is so, as alarms bring it about. */
export async function until(id: string, status: TuningJobObject["status"]) {
  return vi.waitFor(async () => {
    await runDurableObjectAlarm(tuning());
    const job = await retrieve(id);
    expect(job.status).toBe(status);
    return job;
  }, often);
}

/** The messages of the training pool that name a job, once there are so many. */
export function sentFor(world: OutsideWorld, id: string, count = 1): Promise<void> {
  return vi.waitFor(async () => {
    await runDurableObjectAlarm(tuning());
    expect(world.trainingMessages.filter((message) => message.id === id)).toHaveLength(count);
  }, often);
}

export async function claim(id: string, worker = "trainer"): Promise<TuningOrder | null> {
  const body = JSON.stringify({ id, tenant, worker });
  const response = await postAsWorker("/internal/training/claim", body);
  const answer: TuningClaimAnswer = await response.json();
  return answer.order;
}

/** A job that a worker has, from a file that is good. */
export async function claimedJob(world: OutsideWorld, more: Record<string, unknown> = {}) {
  const job = await create({ training_file: await checkedFile(world), ...more });
  await sentFor(world, job.id);
  const order = await claim(job.id);
  if (order === null) throw new Error("nothing to claim");
  return { job, order };
}

export async function report(
  { id, lease }: Pick<TuningOrder, "id" | "lease">,
  more: Partial<TuningReport> = {},
): Promise<TuningReportAnswer["action"]> {
  const body: TuningReport = {
    id,
    tenant,
    worker: "trainer",
    lease,
    events: [],
    checkpoints: [],
    progress: null,
    outcome: null,
    ...more,
  };
  const response = await postAsWorker("/internal/training/reports", JSON.stringify(body));
  expect(response.status).toBe(200);
  return (await response.json<TuningReportAnswer>()).action;
}

/** How a worker says that it made what was ordered; its files are in the bucket. */
export function madeOf(world: OutsideWorld, order: TuningOrder, changed: Partial<TunedModel> = {}) {
  const put = (key: string) => {
    world.objects.set(key, new TextEncoder().encode(key));
    return { key, bytes: key.length, sha256: hex };
  };
  const files = [{ path: "a.safetensors", object: put(`${order.modelPrefix}a.safetensors`) }];
  const model = tunedModel({ name: order.name, base: order.model, files, ...changed });
  const resultFiles = ["metrics.csv", "report.html"].map((filename) => ({
    filename,
    contentType: "text/plain",
    object: put(`${order.resultPrefix}${filename}`),
  }));
  return { kind: "succeeded", model, resultFiles } as const;
}

export function progressOf(seconds: number) {
  return { step: 5, steps: 10, trainedTokens: 1_234, seconds, secondsLeft: seconds };
}

/** The lease of a job was not heard of for long. */
export async function lapse(id: string): Promise<void> {
  await setLongAgo(id, "$.course.lease.heardAt");
}

/** It is time that its message is sent, once more. */
export async function isToBeSent(id: string): Promise<void> {
  await setLongAgo(id, "$.course.sendAt");
}

async function setLongAgo(id: string, field: string): Promise<void> {
  await runInDurableObject(tuning(), (_, { storage }) => {
    storage.sql.exec("UPDATE jobs SET document = json_set(document, ?, 1) WHERE id = ?", field, id);
  });
  await runDurableObjectAlarm(tuning());
}

/** Seconds of training that are reserved or used today. */
export function secondsUsed(): Promise<number> {
  return runInDurableObject(
    tuning(),
    (_, { storage }) =>
      storage.sql.exec<{ used: number }>("SELECT unitsUsed AS used FROM meter").one().used,
  );
}

/** Of a list: whether there are more, and the ids. */
export async function idsOf(query: string): Promise<unknown[]> {
  const list = await (await get(query)).json<{ data: { id: string }[]; has_more: boolean }>();
  return [list.has_more, ...list.data.map(({ id }) => id)];
}
