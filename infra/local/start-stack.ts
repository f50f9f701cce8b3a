/**
 * Starts the launcher as anybody would, in a process of its own, and waits until it is ready: for tests, benchmarks and
 * the demo. The processes of a running stack can be killed and paused through it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { waitForEnd } from "./process-identity.ts";
import { readRun } from "./run-file.ts";

export type StartStackOptions = {
  /** Default: a new folder under the system's temporary one, removed by `stop`. */
  state?: string;
  /** Default: any free port. */
  port?: number;
  workers?: number;
  /** Over this process's environment; names of wrangler.toml's variables included. */
  env?: Record<string, string>;
  /** Called with each line the launcher prints. */
  onLine?: (line: string) => void;
};

export type RunningStack = {
  url: string;
  operatorKey: string;
  state: string;
  /** Milliseconds from the start of the launcher's process to its `ready`. */
  readyAfterMs: number;
  /**
   * @param name as in run.json: `edge`, `workerd`, `queue`, `worker`, `worker-2` …; waits for one that is just starting
   */
  pid: (name: string) => Promise<number>;
  /** kill −9; resolves when the process is gone. */
  kill: (name: string) => Promise<void>;
  /** Stops the process without ending it, until `resume`. */
  pause: (name: string) => Promise<void>;
  resume: (name: string) => Promise<void>;
  /** As Ctrl-C does. @returns the exit code of the launcher */
  stop: () => Promise<number | null>;
};

const pidTimeoutMs = 30_000;

/** @throws with everything the launcher printed, where it ends before it is ready */
export async function startStack(options: StartStackOptions = {}): Promise<RunningStack> {
  const state = options.state ?? mkdtempSync(path.join(tmpdir(), "llm-os-"));
  const startedAt = performance.now();
  const launcher = spawnLauncher(state, options);
  const ended = new Promise<number | null>((resolve) => launcher.once("exit", resolve));
  const stop = async () => {
    if (launcher.exitCode === null && launcher.signalCode === null) launcher.kill("SIGINT");
    const code = await ended;
    if (options.state === undefined) rmSync(state, { recursive: true, force: true });
    return code;
  };
  try {
    const url = await untilReady(launcher, options.onLine);
    const readyAfterMs = performance.now() - startedAt;
    const operatorKey = readFileSync(path.join(state, "operator-key"), "utf8").trim();
    return { url, operatorKey, state, readyAfterMs, ...processControls(state), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function spawnLauncher(state: string, options: StartStackOptions): ChildProcess {
  const { port = 0, workers = 1, env = {} } = options;
  const script = path.join(import.meta.dirname, "start.ts");
  const flags = ["--state", state, "--port", String(port), "--workers", String(workers)];
  return spawn(process.execPath, [script, ...flags], {
    // Whoever measures or tests wants nothing to go on beside.
    env: { LLM_OS_PREFETCH: "none", LLM_OS_TRAINING: "off", ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
}

function untilReady(
  launcher: ChildProcess,
  onLine: (line: string) => void = () => {},
): Promise<string> {
  const printed: string[] = [];
  return new Promise((resolve, reject) => {
    for (const stream of [launcher.stdout, launcher.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        onLine(line);
        printed.push(line);
        const url = /^ready (http:\S+)$/.exec(line)?.[1];
        if (url !== undefined) resolve(url);
      });
    }
    launcher.once("error", reject);
    launcher.once("exit", (code, signal) => {
      reject(
        new Error(
          `the stack ended (${signal ?? code}) before it was ready:\n${printed.join("\n")}`,
        ),
      );
    });
  });
}

/** Of a process of the stack on that state folder; waits for one that is just starting. */
export async function processId(state: string, name: string): Promise<number> {
  const deadline = performance.now() + pidTimeoutMs;
  while (performance.now() < deadline) {
    const found = readRun(state)?.pids[name];
    if (typeof found === "number") return found;
    await delay(20);
  }
  throw new Error(`${name} is not running in ${state}`);
}

function processControls(state: string): Pick<RunningStack, "pid" | "kill" | "pause" | "resume"> {
  const pid = (name: string) => processId(state, name);
  return {
    pid,
    kill: async (name) => {
      const victim = await pid(name);
      process.kill(victim, "SIGKILL");
      await waitForEnd(victim, pidTimeoutMs);
      // Until the launcher has noticed, run.json names the dead process.
      while (readRun(state)?.pids[name] === victim) await delay(10);
    },
    pause: async (name) => void process.kill(await pid(name), "SIGSTOP"),
    resume: async (name) => void process.kill(await pid(name), "SIGCONT"),
  };
}
