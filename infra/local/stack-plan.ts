/**
 * Who is told what: addresses, keys and ports of a local stack, and from them the environment of each child. Pure:
 * nothing is started here.
 */
import path from "node:path";
import {
  type EdgeSettings,
  type NeighbourWorker,
  type QueueSettings,
  settingsEnvironment,
} from "./child-protocol.ts";
import { queueNames } from "#contract/queue.ts";
import { root, wranglerHome } from "../run-program.ts";
import { cacheFolder, compiledCode } from "./cache-folder.ts";
import { loopback } from "./free-ports.ts";
import type { State } from "./state-folder.ts";
import type { ChildPlan } from "./supervised-child.ts";

export type StackPorts = { edge: number; queue: number; workerHealth: number[] };

export type Environment = Readonly<Record<string, string | undefined>>;

const region = "us-east-1";
const bucket = "llm-os-files";
/** fauxqs takes any; what the person has set for the real AWS must not be used by mistake. */
const credentials = { accessKeyId: "local", secretAccessKey: "local" };

function storageVariables(queuePort: number): Record<string, string> {
  const endpoint = `http://${loopback}:${queuePort}`;
  return {
    SQS_ENDPOINT: endpoint,
    SQS_QUEUE_URL: `${endpoint}/000000000000/${queueNames.jobs}`,
    S3_ENDPOINT: endpoint,
    S3_BUCKET: bucket,
    S3_REGION: "auto",
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    S3_ACCESS_KEY_ID: credentials.accessKeyId,
    S3_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
}

function trainingQueueUrl(queuePort: number): string {
  return `http://${loopback}:${queuePort}/000000000000/${queueNames.training}`;
}

function edgeBindings(state: State, ports: StackPorts, env: Environment): Record<string, string> {
  return {
    ...storageVariables(ports.queue),
    SQS_TRAINING_QUEUE_URL: trainingQueueUrl(ports.queue),
    CALLBACK_SECRET: state.callbackSecret,
    OPERATOR_KEY: state.operatorKey,
    LOCAL_STACK: "1",
    // All shards share workerd's one thread: fewer of them send fuller batches (1.2 ms of CPU per request against 1.9).
    SHARDS: env["SHARDS"] ?? "2",
    WEBHOOK_ALLOW: env["LLM_OS_WEBHOOK_ALLOW"] ?? "",
  };
}

/** A long poll that its worker abandons swallows a message until its visibility ends: poll briefly. */
const pollSeconds = "1";

/** Fetched once the stack serves, so that it is there when somebody wants to chat. */
const chatModel = "SmolLM2-135M-Instruct";

type WorkerPlace = { index: number; env: Environment };

function workerVariables(
  state: State,
  ports: StackPorts,
  { index, env }: WorkerPlace,
): Record<string, string> {
  return {
    ...storageVariables(ports.queue),
    SQS_DEAD_LETTER_URL: `http://${loopback}:${ports.queue}/000000000000/${queueNames.deadLetter}`,
    SQS_WAIT_SECONDS: pollSeconds,
    LLM_OS_EDGE_URL: `http://${loopback}:${ports.edge}`,
    LLM_OS_CALLBACK_SECRET: state.callbackSecret,
    LLM_OS_STATE: state.folder,
    LLM_OS_WORKER_ID: workerName(index),
    LLM_OS_PREFETCH: env["LLM_OS_PREFETCH"] ?? chatModel,
    // One thread for each session that runs, and four for files and names.
    UV_THREADPOOL_SIZE: "16",
    // The launcher waits 4 s before it kills.
    LLM_OS_DRAIN_SECONDS: "2",
    LLM_OS_HEALTH_PORT: String(ports.workerHealth[index] ?? 0),
  };
}

/** Of the process that trains. */
export const trainingName = "training";

function trainingVariables(state: State, ports: StackPorts): Record<string, string> {
  return {
    ...storageVariables(ports.queue),
    SQS_TRAINING_QUEUE_URL: trainingQueueUrl(ports.queue),
    SQS_WAIT_SECONDS: pollSeconds,
    LLM_OS_EDGE_URL: `http://${loopback}:${ports.edge}`,
    LLM_OS_CALLBACK_SECRET: state.callbackSecret,
    LLM_OS_STATE: state.folder,
    LLM_OS_WORKER_ID: trainingName,
    // The launcher waits 10 s before it kills.
    LLM_OS_DRAIN_SECONDS: "8",
    // Runs wait on some of them, files and names on four.
    UV_THREADPOOL_SIZE: "8",
  };
}

export function workerName(index: number): string {
  return index === 0 ? "worker" : `worker-${index + 1}`;
}

/** The children in the order of their importance to a caller. */
export function planChildren(
  state: State,
  ports: StackPorts,
  env: Environment,
  neighbours: NeighbourWorker[],
): ChildPlan[] {
  const { AWS_SESSION_TOKEN: _token, AWS_PROFILE: _profile, ...inherited } = env;
  const cache = cacheFolder(state.folder, env);
  const common = { ...inherited, LLM_OS_CACHE: cache, NODE_COMPILE_CACHE: compiledCode(cache) };
  const plan = (name: string, script: string, own: Environment): ChildPlan => ({
    name,
    script: path.join(root, script),
    env: { ...common, ...own },
    logFile: path.join(state.folder, "logs", `${name}.log`),
    drains: script.startsWith("gpu-worker/"),
  });
  const edge: EdgeSettings = {
    port: ports.edge,
    state: state.folder,
    cache,
    bindings: edgeBindings(state, ports, env),
    neighbours,
  };
  const queue: QueueSettings = {
    port: ports.queue,
    dataFolder: path.join(state.folder, "queue"),
    bucket,
  };
  return [
    plan("edge", "infra/local/edge.ts", {
      ...wranglerHome(state.folder),
      ...settingsEnvironment(edge),
    }),
    ...ports.workerHealth.map((_port, i) =>
      plan(workerName(i), "gpu-worker/main.ts", workerVariables(state, ports, { index: i, env })),
    ),
    plan("queue", "infra/local/queue.ts", settingsEnvironment(queue)),
    ...(env["LLM_OS_TRAINING"] === "off"
      ? []
      : [plan(trainingName, "gpu-worker/train.ts", trainingVariables(state, ports))]),
  ];
}
