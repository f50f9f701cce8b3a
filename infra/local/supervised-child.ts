/**
 * One child process of the launcher: started by its path in the launcher's own process group, started again with a
 * growing delay whenever it ends, and told to end by a signal or by closing its channel. What it prints goes to a log
 * file.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { ChildMessage } from "./child-protocol.ts";

export type ChildPlan = {
  name: string;
  /** TypeScript file that Node runs. */
  script: string;
  env: Record<string, string | undefined>;
  logFile: string;
  /** It finishes its work on SIGTERM; a channel that closes means to it that the launcher is gone. */
  drains: boolean;
};

export type ChildEvents = {
  onMessage: (message: ChildMessage) => void;
  onStart: (pid: number) => void;
  /** `failures`: how often in a row it ended before it was of use. */
  onEnd: (reason: string, failures: number) => void;
};

const firstDelayMs = 100;
const longestDelayMs = 5_000;
/** A child that held out this long was of use, whatever ended it. */
const usefulAfterMs = 10_000;

export class SupervisedChild {
  readonly plan: ChildPlan;
  readonly #events: ChildEvents;
  readonly #stopping = new AbortController();
  #process: ChildProcess | null = null;
  #failures = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(plan: ChildPlan, events: ChildEvents) {
    this.plan = plan;
    this.#events = events;
  }

  start(): void {
    this.#loop = this.#runUntilStopped();
  }

  /** It goes on, and is not started again when it ends: Ctrl-C may reach it before the launcher stops it. */
  retire(): void {
    this.#stopping.abort();
  }

  /** Asks the child to end, waits for it, and kills it after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.retire();
    const child = this.#process;
    if (this.plan.drains && process.platform !== "win32") child?.kill("SIGTERM");
    else if (child?.connected === true) child.disconnect();
    const impatient = setTimeout(() => child?.kill("SIGKILL"), graceMs);
    await this.#loop;
    clearTimeout(impatient);
  }

  /** The next end of the child counts as its first. */
  forgive(): void {
    this.#failures = 0;
  }

  async #runUntilStopped(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const reason = await this.#runOnce();
      if (signal.aborted) return;
      this.#failures = performance.now() - startedAt > usefulAfterMs ? 1 : this.#failures + 1;
      this.#events.onEnd(reason, this.#failures);
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (this.#failures - 1));
      await delay(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** @returns why it ended */
  #runOnce(): Promise<string> {
    const { script, env, logFile } = this.plan;
    const log = openSync(logFile, "a");
    const child = spawn(process.execPath, [script], {
      env,
      stdio: ["ignore", log, log, "ipc"],
      windowsHide: true,
    });
    closeSync(log);
    this.#process = child;
    child.on("message", (message) => {
      const parsed = ChildMessage.safeParse(message);
      if (parsed.success) this.#events.onMessage(parsed.data);
    });
    if (child.pid !== undefined) this.#events.onStart(child.pid);
    return new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
  }
}
