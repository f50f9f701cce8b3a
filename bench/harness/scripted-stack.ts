/**
 * A stack as the launcher would start it (infra/local/stack-plan.ts), each part in its own process, with scripted
 * workers in place of those that have models. Any part can be killed and started again.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ChildMessage } from "../../infra/local/child-protocol.ts";
import { freePorts, loopback } from "../../infra/local/free-ports.ts";
import { planChildren } from "../../infra/local/stack-plan.ts";
import { openState, type State } from "../../infra/local/state-folder.ts";
import type { ChildPlan } from "../../infra/local/supervised-child.ts";

import { scriptedModel } from "./script-prompt.ts";

export type Part = "edge" | "queue" | "worker" | "worker-2";

const script = path.join(import.meta.dirname, "scripted-worker.ts");

export class ScriptedStack {
  readonly #state: State;
  readonly #plans: ReadonlyMap<string, ChildPlan>;
  readonly #children = new Map<string, ChildProcess>();
  readonly #port: number;
  #workerdPid = 0;

  private constructor(state: State, port: number, plans: ReadonlyMap<string, ChildPlan>) {
    this.#state = state;
    this.#port = port;
    this.#plans = plans;
  }

  static async start(env: Record<string, string> = {}): Promise<ScriptedStack> {
    const state = openState(mkdtempSync(path.join(tmpdir(), "llm-os-scripted-")));
    const [edge = 0, queue = 0, ...workerHealth] = await freePorts(4);
    const environment = { ...process.env, ...env };
    const plans = planChildren(state, { edge, queue, workerHealth }, environment, []);
    const byName = new Map(plans.map((plan) => [plan.name, plan]));
    const stack = new ScriptedStack(state, edge, byName);
    await Promise.all((["queue", "edge"] as const).map((name) => stack.run(name)));
    return stack;
  }

  get url(): string {
    return `http://${loopback}:${this.#port}`;
  }

  get operatorKey(): string {
    return this.#state.operatorKey;
  }

  get pids(): Record<string, number | null> {
    const own = [...this.#children].map(([name, { pid }]) => [name, pid ?? null] as const);
    return { ...Object.fromEntries(own), workerd: this.#workerdPid };
  }

  /** Starts a part; resolves when it does its work. */
  async run(name: Part): Promise<void> {
    const plan = this.#plans.get(name);
    if (plan === undefined) throw new Error(`no part is called ${name}`);
    const log = openSync(plan.logFile, "a");
    const child = fork(name.startsWith("worker") ? script : plan.script, {
      env: plan.env,
      stdio: ["ignore", log, log, "ipc"],
    });
    this.#children.set(name, child);
    await new Promise<void>((resolve, reject) => {
      child.on("message", (text) => {
        const message = ChildMessage.parse(text);
        if (message.type === "spawned") this.#workerdPid = message.pid;
        if (message.type === "listening" || message.type === "ready") resolve();
      });
      child.once("exit", () => reject(new Error(`${name}: ${readFileSync(plan.logFile, "utf8")}`)));
    });
  }

  /** As the operator. */
  call(address: string, init: RequestInit = {}): Promise<Response> {
    const headers = {
      "content-type": "application/json",
      authorization: `Bearer ${this.operatorKey}`,
      ...init.headers,
    };
    return fetch(`${this.url}${address}`, { ...init, headers });
  }

  /** Resolves when the edge knows the scripted model. */
  async modelKnown(): Promise<void> {
    while (!(await this.call(`/v1/models/${scriptedModel.id}`)).ok) await delay(20);
  }

  /** kill −9; resolves when the process is gone. */
  async kill(name: Part): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined) return;
    this.#children.delete(name);
    const ended = endOf(child);
    child.kill("SIGKILL");
    await ended;
  }

  /** kill −9 of workerd itself; its parent ends with it. */
  async killWorkerd(): Promise<void> {
    const child = this.#children.get("edge");
    if (child === undefined) return;
    this.#children.delete("edge");
    const ended = endOf(child);
    process.kill(this.#workerdPid, "SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    const children = [...this.#children.values()];
    this.#children.clear();
    await Promise.all(
      children.map(async (child) => {
        const ended = endOf(child);
        child.disconnect();
        await ended;
      }),
    );
    this.#state.release();
    rmSync(this.#state.folder, { recursive: true, force: true });
  }
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
}
