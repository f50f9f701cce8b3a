/**
 * A whole stack on loopback: starts queue server, edge and workers at once and what trains when these serve, starts
 * each again when it ends, keeps `run.json` true, and takes everything down in order. What it prints is for the person
 * at the terminal.
 */
import { existsSync, readFileSync, renameSync, statSync } from "node:fs";
import process from "node:process";
import type { ChildMessage, NeighbourWorker, WorkerModel } from "./child-protocol.ts";
import { freePort, freePorts, loopback } from "./free-ports.ts";
import { ModelWatch } from "./model-watch.ts";
import { cleanUpPreviousRun, killIfOurs } from "./previous-run.ts";
import { removeRun, type Run, writeRun } from "./run-file.ts";
import { type Environment, planChildren, trainingName } from "./stack-plan.ts";
import { openState, StartError, type State } from "./state-folder.ts";
import { type ChildPlan, SupervisedChild } from "./supervised-child.ts";

export type StackOptions = {
  /** Absolute path. */
  state: string;
  /** 0: any free port. */
  port: number;
  workers: number;
  neighbours: NeighbourWorker[];
  environment: Environment;
};

/** A child that fails this often before the stack was ever ready will not get better. */
const startFailuresMax = 4;
const graceMs = { worker: 4_000, training: 10_000, others: 2_000 } as const;
const logBytesMax = 8 * 1024 * 1024;
const logLinesShown = 30;

export class LocalStack {
  readonly url: string;
  readonly operatorKey: string;
  readonly #state: State;
  readonly #run: Run;
  readonly #print: (line: string) => void;
  readonly #children: SupervisedChild[];
  /** Children whose word is awaited: `listening` of the edge, `ready` of each worker. */
  readonly #unready: Set<string>;
  /** What each worker said last of its models. */
  readonly #models = new Map<string, WorkerModel[]>();
  readonly #childrenReady = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<never>();
  readonly #ending = new AbortController();

  private constructor(state: State, run: Run, plans: ChildPlan[], print: (line: string) => void) {
    this.#state = state;
    this.#run = run;
    this.#print = print;
    this.url = run.url;
    this.operatorKey = state.operatorKey;
    this.#children = plans.map((plan) => this.#supervise(plan));
    this.#unready = new Set(plans.map(({ name }) => name).filter(isAwaited));
    // Nobody may be waiting when it is given up.
    this.#failed.promise.catch(() => {});
  }

  /** Starts all processes. @throws StartError where the state folder or the port cannot be had */
  static async start(options: StackOptions, print: (line: string) => void): Promise<LocalStack> {
    const state = openState(options.state);
    const killed = await cleanUpPreviousRun(options.state);
    if (killed.length > 0) print(`ended what an earlier run left: ${killed.join(", ")}`);
    const edge = await freePort(options.port);
    if (options.port !== 0 && options.port !== edge) {
      state.release();
      throw new StartError(
        `port ${options.port} is taken by another program: stop that, or choose another with --port N`,
      );
    }
    const [queue = 0, ...workerHealth] = await freePorts(1 + options.workers);
    const ports = { edge, queue, workerHealth };
    const run: Run = {
      url: `http://${loopback}:${ports.edge}`,
      startedAt: new Date().toISOString(),
      ready: false,
      ports,
      pids: { launcher: process.pid, edge: null, workerd: null, queue: null },
    };
    const plans = planChildren(state, ports, options.environment, options.neighbours);
    const stack = new LocalStack(state, run, plans, print);
    stack.#startChildren((name) => name !== trainingName);
    return stack;
  }

  /**
   * Resolves when a request for any model of its workers would be answered.
   * @throws StartError where a child cannot be started
   */
  async ready(): Promise<void> {
    const watch = new ModelWatch(this.url, this.operatorKey, this.#print);
    const { signal } = this.#ending;
    const serving = watch.untilServing(this.#childrenReady.promise, {
      workers: () => [...this.#models.values()],
      signal,
    });
    await Promise.race([serving, this.#failed.promise]);
    for (const child of this.#children) child.forgive();
    this.#startChildren((name) => name === trainingName);
    this.#run.ready = true;
    writeRun(this.#state.folder, this.#run);
    void watch.follow(signal);
  }

  /** Workers first, so that what they finish is still heard. */
  async stop(): Promise<void> {
    this.#failed.reject(new StartError("stopped before it was ready"));
    this.#ending.abort();
    for (const child of this.#children) child.retire();
    const workers = this.#children.filter(({ plan }) => plan.drains);
    const others = this.#children.filter(({ plan }) => !plan.drains);
    await Promise.all(workers.map((child) => child.stop(graceOf(child.plan.name))));
    await Promise.all(others.map((child) => child.stop(graceMs.others)));
    this.#killWorkerd();
    removeRun(this.#state.folder);
    this.#state.release();
  }

  #startChildren(isWanted: (name: string) => boolean): void {
    for (const child of this.#children.filter(({ plan }) => isWanted(plan.name))) {
      rotate(child.plan.logFile);
      child.start();
    }
  }

  #supervise(plan: ChildPlan): SupervisedChild {
    return new SupervisedChild(plan, {
      onStart: (pid) => this.#setPid(plan.name, pid),
      onMessage: (message) => this.#hear(plan.name, message),
      onEnd: (reason, failures) => this.#ended(plan, reason, failures),
    });
  }

  #hear(name: string, message: ChildMessage): void {
    if (message.type === "progress") this.#print(message.text);
    if (message.type === "models") this.#models.set(name, message.models);
    if (message.type === "spawned") this.#setPid(message.name, message.pid);
    if (message.type === "listening" && message.workerdPort !== undefined) {
      this.#run.ports.workerd = message.workerdPort;
      writeRun(this.#state.folder, this.#run);
    }
    if (message.type === (isWorker(name) ? "ready" : "listening")) this.#unready.delete(name);
    if (this.#unready.size === 0) this.#childrenReady.resolve();
  }

  #ended(plan: ChildPlan, reason: string, failures: number): void {
    this.#setPid(plan.name, null);
    if (plan.name === "edge") this.#killWorkerd();
    if (this.#run.ready || failures < startFailuresMax) {
      this.#print(`${plan.name} ended (${reason}), starting it again`);
      return;
    }
    const words = `${plan.name} cannot be started (${reason}); the end of ${plan.logFile}:`;
    this.#failed.reject(new StartError(`${words}\n${lastLines(plan.logFile)}`));
  }

  /** workerd outlives an edge that was killed, and would keep its port. */
  #killWorkerd(): void {
    const pid = this.#run.pids["workerd"];
    if (typeof pid === "number") killIfOurs("workerd", pid);
    this.#setPid("workerd", null);
  }

  #setPid(name: string, pid: number | null): void {
    this.#run.pids[name] = pid;
    writeRun(this.#state.folder, this.#run);
  }
}

function isWorker(name: string): boolean {
  return /^worker(-\d+)?$/.test(name);
}

function graceOf(name: string): number {
  return name === trainingName ? graceMs.training : graceMs.worker;
}

function isAwaited(name: string): boolean {
  return name === "edge" || isWorker(name);
}

function rotate(file: string): void {
  if (existsSync(file) && statSync(file).size > logBytesMax) renameSync(file, `${file}.1`);
}

function lastLines(file: string): string {
  return readFileSync(file, "utf8").trimEnd().split("\n").slice(-logLinesShown).join("\n");
}
