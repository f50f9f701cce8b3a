/**
 * Where a job's files lie, `STATE/training/<job id>/`, until the job has ended: its data, the state of its training,
 * what came out. A job that was paused, or is another's by now, leaves them for a while.
 */
import { mkdir, readdir, rm, stat, utimes } from "node:fs/promises";
import path from "node:path";
import { TuningJobId } from "#contract/training/tuning-job.ts";

/** Folders of jobs that have not ended here, the newest kept; older ones begin again where they come back. */
const keptMax = 8;
const keptMs = 7 * 24 * 3_600_000;

export type JobFolder = {
  readonly path: string;
  readonly training: string;
  readonly validation: string;
  /** Of the tuned model that it goes on from. */
  readonly start: string;
  /** The model's own folder. */
  readonly model: string;
  /** There once the model is whole. */
  readonly done: string;
};

function rootOf(stateFolder: string): string {
  return path.join(stateFolder, "training");
}

export async function openJobFolder(stateFolder: string, id: TuningJobId): Promise<JobFolder> {
  const folder = path.join(rootOf(stateFolder), id);
  await mkdir(folder, { recursive: true });
  const now = new Date();
  await utimes(folder, now, now);
  const at = (name: string) => path.join(folder, name);
  return {
    path: folder,
    training: at("training-file"),
    validation: at("validation-file"),
    start: at("start"),
    model: at("model"),
    done: at("done"),
  };
}

/** Removes what jobs have left that did not come back. @param now milliseconds since the epoch */
export async function sweepJobFolders(stateFolder: string, now: number): Promise<void> {
  const root = rootOf(stateFolder);
  const names = (await readdir(root).catch(() => [])).filter(
    (name) => TuningJobId.safeParse(name).success,
  );
  const folders = await Promise.all(
    names.map(async (name) => {
      const folder = path.join(root, name);
      return { folder, usedAt: (await stat(folder)).mtimeMs };
    }),
  );
  const newest = folders.toSorted((a, b) => b.usedAt - a.usedAt);
  const old = newest.filter(({ usedAt }, at) => at >= keptMax || now - usedAt > keptMs);
  for (const { folder } of old) await rm(folder, { recursive: true, force: true });
}
