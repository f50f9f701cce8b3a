/** What tests of re-tunes do again and again. The worker that trains is played; everything else is the product. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { TrainingReport } from "../../../contract/training/evaluation-report.ts";
import type { TuningOrder } from "../../../contract/training/tuning-job.ts";
import { formatFileId, keyOfFile } from "../../../edge/files/stored-file.ts";
import type { RetuneObject } from "../../../edge/routes/retunes.ts";
import { call } from "../caller.ts";
import {
  check,
  claim,
  create,
  forgetTuning,
  madeOf,
  messageOf,
  report,
  retrieve,
  sentFor,
  succeed,
  tenant,
  until,
} from "../fine-tuning/tuning-in-tests.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";
import { announce, miniLm } from "../stand-in-worker.ts";
import { reportWith } from "./report-sample.ts";

let world: OutsideWorld;
export const models = () => env.TUNED_MODELS.getByName(tenant);
export const learning = () => env.LEARNING.getByName(tenant);

async function forgetAll(): Promise<void> {
  await forgetTuning();
  await runInDurableObject(learning(), (_, { storage }) => {
    for (const table of ["feedback", "counts", "retunes"]) storage.sql.exec(`DELETE FROM ${table}`);
  });
  await runInDurableObject(models(), (_, { storage }) => {
    storage.sql.exec("DELETE FROM aliases");
    storage.sql.exec("DELETE FROM models");
  });
}

export async function beginRetunes(): Promise<OutsideWorld> {
  world = openOutsideWorld();
  await announce([miniLm]);
  await forgetAll();
  return world;
}

export async function endRetunes(): Promise<void> {
  await forgetAll();
  vi.restoreAllMocks();
}

const often = { interval: 10, timeout: 60_000 };
export const oldLines = [
  '{"text": "A delight.", "label": "good"}',
  '{"text": "Dull.", "label": "bad"}',
];
let files = 1_000;

async function reference(key: string, bytes: Uint8Array) {
  world.objects.set(key, bytes);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return { key, bytes: bytes.byteLength, sha256: new Uint8Array(digest).toHex() };
}

/** A checked file of the key, without a line end at its end. */
export async function trainingFile(
  text = oldLines.join("\n"),
  found: object = {},
): Promise<string> {
  const id = formatFileId(String((files += 1)).padStart(32, "0"));
  const stub = env.FILES.getByName(tenant);
  const bytes = new TextEncoder().encode(text);
  expect(await stub.begin(id, bytes.byteLength)).toBeNull();
  await stub.end(tenant, {
    id,
    ...(await reference(keyOfFile(id), bytes)),
    filename: "train.jsonl",
    purpose: "fine-tune",
    createdAt: 1_764_336_000,
    expiresAt: null,
    status: "uploaded",
    statusDetails: null,
  });
  await check(world, id, { container: "jsonl", form: "single-label", ...found });
  return id;
}

/** The worker makes of a job a model with this report. */
export async function train(id: string, made: TrainingReport): Promise<TuningOrder> {
  await sentFor(world, id);
  const order = await claim(id);
  if (order === null) throw new Error("nothing to claim");
  const outcome = madeOf(world, order);
  const bytes = new TextEncoder().encode(JSON.stringify(made));
  const object = await reference(`${order.resultPrefix}report.json`, bytes);
  const file = { filename: "report.json", contentType: "application/json", object };
  await report(order, { outcome: { ...outcome, resultFiles: [...outcome.resultFiles, file] } });
  const loads = await messageOf(
    world,
    ({ task, model }) => task === "load-model" && model === order.name,
  );
  await succeed(loads, { tasks: [], limits: miniLm.limits, digest: "d" });
  await until(id, "succeeded");
  return order;
}

/** An alias to a model that was trained here. */
export async function aliased(made = reportWith("deploy", 0.7), more: object = {}) {
  const file = await trainingFile();
  const job = await create({ training_file: file, suffix: "mood", seed: 3, ...more });
  const { name } = await train(job.id, made);
  await models().pointAlias({ name: "mood", model: name, rollout: null });
  return { name, file, job };
}

export const path = "/v1/aliases/mood/retune";
export const post = (to: string, body: object) => call(to, body, { operator: true });
export const show = async () =>
  (await call(path, undefined, { operator: true })).json<RetuneObject>();

export async function asked(body: object = { min_examples: 2 }): Promise<RetuneObject> {
  const response = await post(path, body);
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

export async function correct(input: string, label: string): Promise<void> {
  const response = await post("/v1/feedback", { model: "ft:@mood", input, label });
  expect(response.status).toBe(200);
}

/** What alarms bring about. */
export function eventually(is: (retune: RetuneObject) => boolean): Promise<RetuneObject> {
  return vi.waitFor(async () => {
    await runDurableObjectAlarm(learning());
    const shown = await show();
    if (!is(shown)) throw new Error(JSON.stringify(shown));
    return shown;
  }, often);
}

/** A re-tune has begun, and its file is checked. */
export async function begun(): Promise<{ job: string; file: string }> {
  const { job } = await eventually((each) => each.job !== null);
  const { training_file: file } = await retrieve(job ?? "");
  await check(world, file, { container: "jsonl", form: "single-label" });
  return { job: job ?? "", file };
}

export const isIdle = ({ status, events }: RetuneObject) => status === "idle" && events.length > 1;
export const pointedTo = async () => (await models().findAlias("mood"))?.model;
