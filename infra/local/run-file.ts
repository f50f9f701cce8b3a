/**
 * `STATE/run.json`: where the running stack is and which processes it is made of, for whoever wants to call it, watch
 * it or clean up after it. Written whole at each change, by rename, so a reader never sees half of it; removed on a
 * clean end.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as z from "zod";

const Pid = z.int().positive();

export const Run = z.object({
  url: z.url(),
  /** ISO 8601. */
  startedAt: z.string(),
  /** True once `ready` was printed. */
  ready: z.boolean(),
  ports: z.object({
    /** Of the API. */
    edge: z.int(),
    queue: z.int(),
    workerHealth: z.array(z.int()),
    /** Of the socket behind the relay, once it is open. */
    workerd: z.int().optional(),
  }),
  /** Null while a process is being started again. `worker`, `worker-2` … are the workers, `training` trains. */
  pids: z.record(z.string(), Pid.nullable()),
});
export type Run = z.infer<typeof Run>;

function runFile(state: string): string {
  return path.join(state, "run.json");
}

/** @returns null where nothing runs, or the file is not one of ours */
export function readRun(state: string): Run | null {
  try {
    return Run.parse(JSON.parse(readFileSync(runFile(state), "utf8")));
  } catch {
    return null;
  }
}

export function writeRun(state: string, run: Run): void {
  const temporary = `${runFile(state)}.new`;
  writeFileSync(temporary, `${JSON.stringify(run, null, 2)}\n`);
  renameSync(temporary, runFile(state));
}

export function removeRun(state: string): void {
  rmSync(runFile(state), { force: true });
}
