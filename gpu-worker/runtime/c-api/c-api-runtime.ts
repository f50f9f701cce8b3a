/**
 * ONNX Runtime through its C API: one environment for the process, sessions loaded on threads of libuv's pool.
 * What holds for the process as a whole, environment and library, is never released. ONNX Runtime has one environment a
 * process: the first that is made decides how many threads it has.
 */
import process from "node:process";
import type { LoadedSession, Loader, LoadOptions, ModelSource } from "../session.ts";
import { shareThreads } from "../share-threads.ts";
import { computeAttentionByProducts } from "./attention-kernel.ts";
import { createCApiSession } from "./c-api-session.ts";
import { libraryPath } from "./library-path.ts";
import type { Pointer } from "./native-function.ts";
import { openOrtApi } from "./ort-api.ts";
import type { OrtApi } from "./ort-api.ts";
import { received, receivedAsync } from "./received.ts";
import { keepHeapsSmall } from "./return-memory.ts";
import { RunThread } from "./run-thread.ts";
import { createSessionOptions } from "./session-options.ts";

/** ORT_LOGGING_LEVEL_FATAL: what fails is thrown, and need not be printed too. */
const logFatalOnly = 4;
/** OrtArenaAllocator, OrtMemTypeDefault. */
const [arenaAllocator, defaultMemory] = [1, 0];

/**
 * @param libraryFile null: the library of onnxruntime-node
 * @param threads of all sessions that share
 * @throws where the library cannot be opened or used
 */
export function openCApi(libraryFile: string | null, threads: number): Loader {
  const library = libraryFile ?? libraryPath(process.platform, process.arch);
  const api = openOrtApi(library);
  keepHeapsSmall();
  computeAttentionByProducts();
  const environment = createEnvironment(api, shareThreads(threads).workers);
  const memory = received((out) => api.createCpuMemoryInfo(arenaAllocator, defaultMemory, out));
  // One arena for what all sessions compute, in the library's own way to grow: it keeps what the largest runs side by
  // side took, where an arena for each session keeps that as often as there are sessions.
  api.createAndRegisterAllocator(environment, memory, null);
  return {
    name: "c-api",
    version: api.version,
    load: (model, options) => loadSession({ api, library, environment, memory }, model, options),
  };
}

/**
 * With a pool for the sessions that share. Its workers sleep between pieces of work: the pool has no bound for how long
 * they spin, and by default it is long enough to take the cores from whoever else needs them.
 */
function createEnvironment(api: OrtApi, workers: number): Pointer {
  const options = received((out) => api.createThreadingOptions(out));
  try {
    // Whoever calls counts as one; with one alone there is no pool, and each run stays on its own thread.
    api.setGlobalIntraOpNumThreads(options, workers + 1);
    // Operators of one run are computed one after the other.
    api.setGlobalInterOpNumThreads(options, 1);
    api.setGlobalSpinControl(options, 0);
    return received((out) =>
      api.createEnvWithGlobalThreadPools(logFatalOnly, "llm-os", options, out),
    );
  } finally {
    api.releaseThreadingOptions(options);
  }
}

type Native = { api: OrtApi; library: string; environment: Pointer; memory: Pointer };

async function loadSession(
  { api, library, environment, memory }: Native,
  model: ModelSource,
  options: LoadOptions,
): Promise<LoadedSession> {
  const { signal, provider, concurrency = 1, captures = false } = options;
  signal?.throwIfAborted();
  const native = createSessionOptions(api, model, options);
  const cancel = (): void => api.setLoadCancellationFlag(native, true);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const session = await receivedAsync((out) =>
      "path" in model
        ? api.createSession(environment, model.path, native, out)
        : api.createSessionFromArray(environment, model.bytes, model.bytes.length, native, out),
    );
    return await usable(api, session, () => {
      signal?.throwIfAborted();
      const thread = captures ? new RunThread(library) : null;
      return createCApiSession({ api, session, memory, provider, concurrency, thread });
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", cancel);
    api.releaseSessionOptions(native);
  }
}

async function usable(
  api: OrtApi,
  session: Pointer,
  make: () => LoadedSession,
): Promise<LoadedSession> {
  try {
    return make();
  } catch (error) {
    await api.releaseSession(session);
    throw error;
  }
}
