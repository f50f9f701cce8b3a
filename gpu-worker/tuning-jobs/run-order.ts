/**
 * A tuning job from its order to its outcome: files fetched, trained from the state that a broken try left, published.
 * Whatever goes wrong is the job's failure and nobody else's.
 */
import { createReadStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";
import type { ObjectReference } from "#contract/object-reference.ts";
import type { TuningOrder, TuningOutcome } from "#contract/training/tuning-job.ts";
import type { TuningFile } from "#contract/training/tuning-options.ts";
import { type BaseModel, describeBase, obtainBase } from "../catalog/base-model.ts";
import type { CatalogSettings } from "../catalog/open-catalog.ts";
import { openTuned } from "../catalog/open-tuned.ts";
import { freeBytes } from "../files/free-bytes.ts";
import { readNote } from "../files/json-file.ts";
import { writeAtomically } from "../files/write-atomically.ts";
import type { ObjectStore } from "../jobs/object-store.ts";
import type { UploadFile } from "../jobs/object-upload.ts";
import type { Runtime } from "../runtime/session.ts";
import type { Log } from "../telemetry/log.ts";
import { DiskError } from "../training/choose-plan.ts";
import type { NamedBase } from "../training/prepare-encoder.ts";
import { ForeignStateError } from "../training/training-state.ts";
import { type ExampleFile, tuneModel } from "../training/tune-model.ts";
import { downloadFile } from "./download-file.ts";
import { jobFailure } from "./job-failure.ts";
import { type JobFolder, openJobFolder, sweepJobFolders } from "./job-folder.ts";
import { optionsOf } from "./order-options.ts";
import { publishModel } from "./publish-model.ts";
import { tellVerdict, tuningTeller } from "./tell-tuning.ts";
import type { TuningLease } from "./tuning-lease.ts";

export type OrderTools = {
  readonly settings: CatalogSettings;
  readonly objects: Pick<ObjectStore, "open">;
  readonly upload: UploadFile;
  readonly runtime: Runtime;
  /** Seconds between two saved states. */
  readonly saveSeconds: number;
  readonly clock: { wall(): number; steady(): number };
  readonly log: Log;
};

/** What else the machine's disk is for. */
const diskReserve = 256e6;

const Done = z.object({ version: z.literal(1) });

/**
 * @returns null: the job is another's
 * @param done is called with the outcome, while the job's files are still there
 */
export async function runOrder(
  order: TuningOrder,
  lease: TuningLease,
  tools: OrderTools,
  done: (outcome: TuningOutcome | null) => Promise<void>,
): Promise<void> {
  const { settings, clock, log } = tools;
  const { id } = order;
  const outcome = await outcomeOf(order, lease, tools);
  log.info({ job: id, outcome: outcome?.kind ?? "left" }, "a tuning job has ended here");
  await done(outcome);
  // Nobody comes back for what has ended.
  const ends = outcome !== null && ["succeeded", "failed", "cancelled"].includes(outcome.kind);
  const { stateFolder } = settings;
  if (ends) {
    const folder = await openJobFolder(stateFolder, id);
    await rm(folder.path, { recursive: true, force: true });
  }
  await sweepJobFolders(stateFolder, clock.wall());
}

async function outcomeOf(
  order: TuningOrder,
  lease: TuningLease,
  tools: OrderTools,
): Promise<TuningOutcome | null> {
  try {
    return await tune(order, lease, tools);
  } catch (error) {
    switch (lease.interruption) {
      case "stop":
        return null;
      case "cancel":
        return { kind: "cancelled" };
      case "pause":
        return { kind: "paused" };
      case "shutdown":
        return { kind: "released" };
      case null: {
        const failure = jobFailure(error);
        tools.log.warn({ job: order.id, error, code: failure.code }, "a tuning job failed");
        return { kind: "failed", error: failure };
      }
    }
  }
}

async function tune(
  order: TuningOrder,
  lease: TuningLease,
  tools: OrderTools,
): Promise<TuningOutcome> {
  const { settings, upload, clock } = tools;
  const { signal } = lease;
  const folder = await openJobFolder(settings.stateFolder, order.id);
  const base = await obtainBase(order.model, settings, signal);
  if ((await readNote(folder.done, Done)) === null) {
    await goOnOrBegin(order, { folder, base, lease, tools });
    await writeAtomically(folder.done, JSON.stringify({ version: 1 }));
  }
  lease.tell("The model is trained and its files are being stored");
  const now = clock.wall();
  const published = { order, base, folder: folder.model, upload, now, signal };
  return { kind: "succeeded", ...(await publishModel(published)) };
}

type Training = { folder: JobFolder; base: BaseModel; lease: TuningLease; tools: OrderTools };

/** From the state that is there, or, where an earlier version left one that is of no use any more, from the start. */
async function goOnOrBegin(order: TuningOrder, training: Training): Promise<void> {
  try {
    return await train(order, training);
  } catch (error) {
    if (!(error instanceof ForeignStateError)) throw error;
  }
  const { folder, lease } = training;
  lease.tell(
    "The state that was saved is of another version of the platform: it begins again",
    {},
    { level: "warn" },
  );
  await rm(folder.model, { recursive: true, force: true });
  await train(order, training);
}

async function train(order: TuningOrder, { folder, base, lease, tools }: Training): Promise<void> {
  const { training, validation, options, name } = order;
  const { settings, runtime, saveSeconds, clock, log } = tools;
  const { signal } = lease;
  const { start } = order;
  const files = [training, ...(validation === null ? [] : [validation])];
  await expectRoom(settings.stateFolder, [...files, ...(start?.source.files ?? [])]);
  const fetched = async (file: TuningFile, at: string): Promise<ExampleFile> => {
    await downloadFile(tools.objects, { reference: file.object, file: at }, signal);
    const open = async () => ({
      name: file.filename,
      bytes: createReadStream(at, { highWaterMark: 1 << 18, signal }),
    });
    return { open, sha256: file.object.sha256 };
  };
  const tell = tuningTeller(options, lease, clock.steady);
  const report = await tuneModel({
    base: await begunFrom({ base, start, folder: folder.start, objects: tools.objects }, signal),
    training: await fetched(training, folder.training),
    validation: validation === null ? null : await fetched(validation, folder.validation),
    options: optionsOf(options),
    name,
    out: folder.model,
    saveSeconds,
    runtime,
    serve: (written, until) =>
      openTuned({ base, folder: written }, { settings, runtime, log }, until),
    memoryBytes: process.availableMemory(),
    diskBytes: (await freeBytes(settings.stateFolder)) - diskReserve,
    onEvent: (event) => {
      if (event.kind === "unserved") {
        log.warn({ job: order.id, error: event.error }, "a tuned model could not be served here");
      }
      tell(event);
    },
    signal,
  });
  tellVerdict(report, lease);
}

type Begun = {
  base: BaseModel;
  start: TuningOrder["start"];
  /** Of the tuned model's files. */
  folder: string;
  objects: OrderTools["objects"];
};

/** The base, or what was tuned of it: an adapter beside it, a checkpoint in its place. */
async function begunFrom(
  { base, start, folder, objects }: Begun,
  signal: AbortSignal,
): Promise<NamedBase> {
  const upstream = await describeBase(base, signal);
  const named = { id: base.known.id, folder: base.folder, upstream };
  if (start === null) return named;
  for (const { path: name, object } of start.source.files) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await downloadFile(objects, { reference: object, file }, signal);
  }
  return start.kind === "adapter"
    ? { ...named, from: { kind: "adapter", folder } }
    : { ...named, folder, from: { kind: "checkpoint" } };
}

/** @throws DiskError */
async function expectRoom(
  stateFolder: string,
  files: readonly { object: ObjectReference }[],
): Promise<void> {
  const needed = files.reduce((sum, { object }) => sum + object.bytes, diskReserve);
  if (needed <= (await freeBytes(stateFolder))) return;
  throw new DiskError("there is no room for the files of examples");
}
