/** What processes of the worker and of the trainer are given to reach a test's queue, object store and edge. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { secret } from "./stand-in-edge.ts";

/** @param port of the server of queues and objects */
export function childEnvironment(port: number, edgeUrl: string) {
  const queue = `http://127.0.0.1:${port}`;
  return {
    LLM_OS_EDGE_URL: edgeUrl,
    LLM_OS_CALLBACK_SECRET: secret,
    SQS_ENDPOINT: queue,
    SQS_WAIT_SECONDS: "1",
    S3_ENDPOINT: queue,
    S3_BUCKET: "files",
    S3_ACCESS_KEY_ID: "test",
    S3_SECRET_ACCESS_KEY: "test",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
  };
}

export const jobsQueueUrl = (port: number) => `http://127.0.0.1:${port}/000000000000/jobs`;

/** What it has written so far. */
export function outputOf({ stdout, stderr }: ChildProcess): () => string {
  let output = "";
  for (const stream of [stdout, stderr]) stream?.on("data", (text) => (output += String(text)));
  return () => output;
}

/** Resolves once it is gone, if it is not already. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
