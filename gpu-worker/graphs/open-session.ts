/** From a graph's file to a session that is warmed up, so that the first request is as fast as the next. */
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { Provider, Runtime, Session } from "../runtime/session.ts";
import { shareThreads } from "../runtime/share-threads.ts";
import { LoraSession } from "./lora-session.ts";
import { madeUpFeeds } from "./measure-costs.ts";
import { servedOnnx } from "./onnx-session.ts";

export type SessionOptions = {
  runtime: Runtime;
  provider: Provider;
  /** Most that it may take of a GPU's memory; null: the CPU computes. */
  deviceMemoryBytes: number | null;
  signal: AbortSignal;
};

/** Tokens of the run that warms a session up. */
const warmUpTokens = 16;

function load(
  file: string,
  { runtime, provider, deviceMemoryBytes, signal }: SessionOptions,
): Promise<Session> {
  // A device computes one run at a time.
  const concurrency = provider === "cpu" ? shareThreads(runtime.threads).concurrency : 1;
  const bound = deviceMemoryBytes === null ? {} : { deviceMemoryBytes };
  const sharing = { threads: "shared", concurrency, provider, signal, ...bound } as const;
  return runtime.load({ path: file }, sharing);
}

/** A graph that takes adapters of low rank, none there yet. @throws as `openSession` */
export async function openLoraSession(file: string, options: SessionOptions): Promise<LoraSession> {
  const opened = await load(file, options);
  try {
    const session = new LoraSession(opened);
    await session.run(madeUpFeeds(session, 1, warmUpTokens), { signal: options.signal });
    return session;
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/**
 * @param file of a graph that was built of the checkpoint, or its own
 * @throws Error that says what is wrong with the file; the signal's reason
 */
export async function openSession(
  file: string,
  checkpoint: Checkpoint,
  options: SessionOptions,
): Promise<Session> {
  const { runtime, provider, signal } = options;
  const opened = await load(file, options);
  try {
    const session =
      checkpoint.format === "onnx"
        ? await servedOnnx(opened, checkpoint, { runtime, provider })
        : opened;
    await session.run(madeUpFeeds(session, 1, warmUpTokens), { signal });
    return session;
  } catch (error) {
    await opened.release();
    throw error;
  }
}
