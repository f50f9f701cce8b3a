/**
 * ONNX Runtime through its C API: one environment for the process, sessions loaded on threads of libuv's pool.
 * What holds for the process as a whole, environment and library, is never released.
 */
import process from "node:process";
import type { Loader, LoadOptions, ModelSource, Session } from "../session.ts";
import { createCApiSession } from "./c-api-session.ts";
import { libraryPath } from "./library-path.ts";
import type { Pointer } from "./native-function.ts";
import { openOrtApi } from "./ort-api.ts";
import type { OrtApi } from "./ort-api.ts";
import { received, receivedAsync } from "./received.ts";
import { createSessionOptions } from "./session-options.ts";

/** ORT_LOGGING_LEVEL_FATAL: what fails is thrown, and need not be printed too. */
const logFatalOnly = 4;
/** OrtArenaAllocator, OrtMemTypeDefault. */
const [arenaAllocator, defaultMemory] = [1, 0];

/**
 * @param libraryFile null: the library of onnxruntime-node
 * @throws where the library cannot be opened or used
 */
export function openCApi(libraryFile: string | null): Loader {
  const api = openOrtApi(libraryFile ?? libraryPath(process.platform, process.arch));
  const environment = received((out) => api.createEnv(logFatalOnly, "llm-os", out));
  const memory = received((out) => api.createCpuMemoryInfo(arenaAllocator, defaultMemory, out));
  return {
    name: "c-api",
    version: api.version,
    load: (model, options) => loadSession({ api, environment, memory }, model, options),
  };
}

type Native = { api: OrtApi; environment: Pointer; memory: Pointer };

async function loadSession(
  { api, environment, memory }: Native,
  model: ModelSource,
  options: LoadOptions,
): Promise<Session> {
  const { signal, provider, concurrency = 1 } = options;
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
      return createCApiSession({ api, session, memory, provider, concurrency });
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", cancel);
    api.releaseSessionOptions(native);
  }
}

async function usable(api: OrtApi, session: Pointer, make: () => Session): Promise<Session> {
  try {
    return make();
  } catch (error) {
    await api.releaseSession(session);
    throw error;
  }
}
