/**
 * ONNX Runtime through onnxruntime-node's own binding, for where its C API cannot be called. The binding computes on
 * the thread that calls it, so every session has a thread of its own; feeds are copied to it, results handed over.
 * Neither a run nor loading can be stopped: what is aborted rejects at once, and the thread comes to its end alone. The
 * next run waits until the thread is free again.
 */
import { createRequire } from "node:module";
import { checkFeeds, wantedOutputs } from "../check-feeds.ts";
import { createRunQueue } from "../run-queue.ts";
import { RuntimeError } from "../session.ts";
import type {
  LoadedSession,
  Loader,
  LoadOptions,
  ModelSource,
  Session,
  ValueInfo,
} from "../session.ts";
import { orAborted } from "../../event-loop/or-aborted.ts";
import { startSessionWorker } from "./session-worker.ts";
import type { SessionWorker } from "./session-worker.ts";

/** @param threads of a session that shares: its one run at a time has them all */
export function openNodeBinding(threads: number): Loader {
  const { version }: { version: string } = createRequire(import.meta.url)(
    "onnxruntime-node/package.json",
  );
  const load: Loader["load"] = (model, options) =>
    loadSession(model, {
      ...options,
      threads: options.threads === "shared" ? threads : options.threads,
    });
  return { name: "node-binding", version, load };
}

type OwnThreads = LoadOptions & { threads: number };

async function loadSession(model: ModelSource, given: OwnThreads): Promise<LoadedSession> {
  const { signal, ...options } = given;
  signal?.throwIfAborted();
  if (options.provider !== "cpu") {
    throw new RuntimeError("the Node binding computes on the CPU alone");
  }
  const worker = startSessionWorker({ model, options });
  try {
    const loaded = await orAborted(worker.started, signal);
    if (loaded.kind !== "loaded") throw new RuntimeError(`the thread answered ${loaded.kind}`);
    return createSession(worker, { ...loaded, provider: options.provider });
  } catch (error) {
    // A thread that failed to load has ended; one that still loads ends when it can.
    void worker.end();
    throw error;
  }
}

type Loaded = Pick<Session, "provider"> & { inputs: ValueInfo[]; outputs: ValueInfo[] };

function createSession(
  worker: SessionWorker,
  { provider, inputs, outputs }: Loaded,
): LoadedSession {
  const queue = createRunQueue(1);
  let released: Promise<void> | null = null;
  return {
    provider,
    // Its one thread computes, whatever was asked for.
    concurrency: 1,
    inputs,
    outputs,
    run: async (feeds, options = {}) => {
      if (released !== null) throw new RuntimeError("the session is released");
      checkFeeds(inputs, feeds);
      const wanted = wantedOutputs(outputs, options);
      const { signal } = options;
      const ran = queue.run(() => worker.ask({ kind: "run", feeds, wanted }), signal);
      const answer = await orAborted(ran, signal);
      if (answer.kind !== "ran") throw new RuntimeError(`the thread answered ${answer.kind}`);
      return answer.outputs;
    },
    allocate: () => Promise.reject(refusal("keep values")),
    bind: () => {
      throw refusal("bind values");
    },
    release: () => (released ??= queue.run(() => worker.end())),
  };
}

function refusal(what: string): RuntimeError {
  return new RuntimeError(`the Node binding cannot ${what} between runs: the C API does`);
}
