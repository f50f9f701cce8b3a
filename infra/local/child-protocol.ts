/**
 * What the launcher and its children say to each other: settings down, as JSON in one variable of the environment;
 * messages up, over the IPC channel. A child ends when that channel closes, so none outlives the launcher.
 */
import process from "node:process";
import * as z from "zod";

const settingsVariable = "LLM_OS_CHILD_SETTINGS";

const Port = z.int().min(1).max(65_535);

export const QueueSettings = z.object({
  port: Port,
  /** Folder of the queue's database. */
  dataFolder: z.string(),
  bucket: z.string(),
});
export type QueueSettings = z.infer<typeof QueueSettings>;

/** A worker bundled elsewhere that is served by the same workerd, for comparisons. */
export const NeighbourWorker = z.object({ name: z.string(), modules: z.string(), port: Port });
export type NeighbourWorker = z.infer<typeof NeighbourWorker>;

export const EdgeSettings = z.object({
  port: Port,
  /** State folder of the whole stack. */
  state: z.string(),
  /** Folder of what can be made again. */
  cache: z.string(),
  /** Variables and secrets over those of wrangler.toml. */
  bindings: z.record(z.string(), z.string()),
  neighbours: z.array(NeighbourWorker),
});
export type EdgeSettings = z.infer<typeof EdgeSettings>;

/** A model as its worker has it. */
export const WorkerModel = z.object({
  id: z.string(),
  status: z.enum(["available", "downloading", "failed"]),
  tasks: z.array(z.string()),
});
export type WorkerModel = z.infer<typeof WorkerModel>;

export const ChildMessage = z.discriminatedUnion("type", [
  /** It answers on its port; `workerdPort`: the edge's own socket, behind the relay. */
  z.object({ type: z.literal("listening"), workerdPort: Port.optional() }),
  /** It does its work: for a worker, the queue is read and the default model serves. */
  z.object({ type: z.literal("ready") }),
  /** All models of a worker, before its `ready` and with each change. */
  z.object({ type: z.literal("models"), models: z.array(WorkerModel) }),
  /** A line for whoever waits for the start. */
  z.object({ type: z.literal("progress"), text: z.string() }),
  /** A process of its own that must not outlive it. */
  z.object({ type: z.literal("spawned"), name: z.string(), pid: z.int().positive() }),
]);
export type ChildMessage = z.infer<typeof ChildMessage>;

export function settingsEnvironment(
  settings: QueueSettings | EdgeSettings,
): Record<string, string> {
  return { [settingsVariable]: JSON.stringify(settings) };
}

/** Set by a benchmark that wants its peer in the same workerd. */
export const neighboursVariable = "LLM_OS_NEIGHBOURS";

export function readNeighbours(
  environment: Readonly<Record<string, string | undefined>>,
): NeighbourWorker[] {
  return z.array(NeighbourWorker).parse(JSON.parse(environment[neighboursVariable] ?? "[]"));
}

/** @throws where this process was not started by the launcher */
export function readSettings<T>(schema: z.ZodType<T>): T {
  const text = process.env[settingsVariable];
  if (text === undefined) {
    throw new Error("this is a child of the launcher: use `npm start`");
  }
  return schema.parse(JSON.parse(text));
}

/** Says nothing where the launcher is gone. */
export function tellLauncher(message: ChildMessage): void {
  process.send?.(message, undefined, {}, () => {});
}

/** Calls `end` once, when the launcher says so or is gone. */
export function onLauncherGone(end: () => void): void {
  if (process.connected) process.once("disconnect", end);
  else end();
}
