/**
 * Brings ONNX Runtime's CUDA provider into a folder, out of the wheels of cuda-wheels.ts: shared libraries alone, side
 * by side, nothing of a package run. Either the whole folder appears, or what was there stays; wheels that were
 * unpacked before an interruption are not fetched again.
 */
import { mkdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { describeFile } from "../catalog/file-digest.ts";
import { asFetchProblem, FetchProblem } from "../catalog/sources/fetch-problem.ts";
import { withFolderLock } from "../catalog/sources/folder-lock.ts";
import { type FetchRecord, readFetchRecord, recordFile } from "../catalog/sources/model-cache.ts";
import { bringWheel, type PythonCommands } from "../catalog/sources/pip-wheel.ts";
import { unzip } from "../catalog/sources/unzip.ts";
import { writeAtomically } from "../catalog/write-atomically.ts";
import type { CudaWheel } from "./cuda-wheels.ts";

export type InstallOptions = {
  folder: string;
  wheels: readonly CudaWheel[];
  pythonCommands: PythonCommands;
  /** The process's, for pip. */
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  onProgress: (progress: { step: string; bytes: number; totalBytes: number | null }) => void;
};

type GatherOptions = InstallOptions & { gathering: string };

function revisionOf(wheels: readonly CudaWheel[]): string {
  return wheels.map(({ requirement }) => requirement).join(" ");
}

async function hasSize(file: string, bytes: number): Promise<boolean> {
  const found = await stat(file).catch(() => null);
  return found?.size === bytes;
}

async function isUnpacked(gathering: string, { libraries }: CudaWheel): Promise<boolean> {
  const here = Object.entries(libraries).map(([name, bytes]) =>
    hasSize(path.join(gathering, name), bytes),
  );
  return (await Promise.all(here)).every(Boolean);
}

async function unpack(archive: string, wheel: CudaWheel, { gathering, signal }: GatherOptions) {
  const { folder, libraries, requirement } = wheel;
  const partialOf = (name: string) => path.join(gathering, `${name}.unpacked`);
  const names = Object.keys(libraries);
  const wanted = new Map(names.map((name) => [`${folder}${name}`, partialOf(name)]));
  const missing = await unzip({ archive, wanted, signal });
  if (missing.length > 0) {
    throw new FetchProblem(`${requirement} holds no ${missing.join(", ")}`, { final: true });
  }
  // A name counts once all its bytes are there: the next try may begin after any of these.
  for (const name of names) await rename(partialOf(name), path.join(gathering, name));
}

async function bring(wheel: CudaWheel, before: number, options: GatherOptions): Promise<void> {
  const { gathering: folder, wheels, pythonCommands: commands, environment, signal } = options;
  const totalBytes = wheels.reduce((sum, { bytes }) => sum + bytes, 0);
  const show = (bytes: number) =>
    options.onProgress({ step: "Fetching the CUDA provider", bytes: before + bytes, totalBytes });
  show(0);
  if (!(await isUnpacked(folder, wheel))) {
    const onBytes = (bytes: number) => show(Math.min(bytes, wheel.bytes));
    const bringing = { folder, commands, environment, signal, onBytes };
    const archive = await bringWheel(wheel, bringing);
    await unpack(archive, wheel, options);
    await rm(path.dirname(archive), { recursive: true, force: true });
  }
  show(wheel.bytes);
}

async function recordOf({ wheels, gathering, signal }: GatherOptions): Promise<FetchRecord> {
  const files: FetchRecord["files"] = [];
  for (const name of wheels.flatMap(({ libraries }) => Object.keys(libraries))) {
    files.push(await describeFile(gathering, name, signal));
  }
  const revision = revisionOf(wheels);
  return { formatVersion: 1, id: "cuda-provider", source: "package registry", revision, files };
}

async function gather(options: GatherOptions): Promise<void> {
  let before = 0;
  try {
    for (const wheel of options.wheels) {
      await bring(wheel, before, options);
      before += wheel.bytes;
    }
  } catch (error) {
    options.signal.throwIfAborted();
    throw asFetchProblem(error, "the CUDA provider");
  }
}

/** Whether the folder holds the libraries of these wheels, all of them whole by their sizes. */
export async function isInstalled(folder: string, wheels: readonly CudaWheel[]): Promise<boolean> {
  const record = await readFetchRecord(folder);
  return record?.revision === revisionOf(wheels);
}

/** @throws FetchProblem that says what to do, or the signal's reason */
export async function installCuda(options: InstallOptions): Promise<void> {
  const { folder, wheels, onProgress, signal } = options;
  await mkdir(path.dirname(path.resolve(folder)), { recursive: true });
  const onWait = () =>
    onProgress({ step: "Another process is fetching the provider", bytes: 0, totalBytes: null });
  await withFolderLock(path.resolve(folder), { signal, onWait }, async (held) => {
    if (await isInstalled(folder, wheels)) return;
    const gatherOptions = { ...options, gathering: `${folder}.partial`, signal: held };
    await mkdir(gatherOptions.gathering, { recursive: true });
    await gather(gatherOptions);
    const record = `${JSON.stringify(await recordOf(gatherOptions), null, 2)}\n`;
    await writeAtomically(recordFile(gatherOptions.gathering), record);
    await rm(folder, { recursive: true, force: true });
    await rename(gatherOptions.gathering, folder);
  });
}
