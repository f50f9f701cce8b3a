/**
 * The native options of a session: threads, providers, and memory that does not grow with the shapes seen.
 */
import type { LoadOptions, ModelSource } from "../session.ts";
import { sessionConfig } from "../session-config.ts";
import type { Pointer } from "./native-function.ts";
import type { OrtApi } from "./ort-api.ts";
import { received } from "./received.ts";

/** ORT_ENABLE_ALL. */
const everyOptimization = 99;

/** Weights stay out of the arena that sessions share: they go when the session does. */
const sharedArena = {
  "session.use_env_allocators": "1",
  "session.use_device_allocator_for_initializers": "1",
};

/** Memory on the device grows by what is asked for, not to the next power of two, up to its bound. */
export function cudaOptions({
  deviceMemoryBytes,
  captures = false,
}: LoadOptions): Record<string, string> {
  return {
    device_id: "0",
    arena_extend_strategy: "kSameAsRequested",
    cudnn_conv_algo_search: "HEURISTIC",
    // f32 products from factors of 11 bits, several times faster on GPUs that have it; the self-test allows for it.
    use_tf32: "1",
    ...(captures && { enable_cuda_graph: "1" }),
    ...(deviceMemoryBytes !== undefined && {
      gpu_mem_limit: String(Math.floor(deviceMemoryBytes)),
    }),
  };
}

/** The caller releases them. */
export function createSessionOptions(
  api: OrtApi,
  model: ModelSource,
  options: LoadOptions,
): Pointer {
  const native = received((out) => api.createSessionOptions(out));
  try {
    api.setGraphOptimizationLevel(native, everyOptimization);
    if (options.threads === "shared") api.disablePerSessionThreads(native);
    else api.setIntraOpNumThreads(native, options.threads);
    // A memory pattern is kept for every set of input shapes seen, and texts have all lengths.
    api.disableMemPattern(native);
    for (const [key, value] of Object.entries({
      ...sessionConfig(model, options),
      ...sharedArena,
    })) {
      api.addSessionConfigEntry(native, key, value);
    }
    appendProvider(api, native, options);
    return native;
  } catch (error) {
    api.releaseSessionOptions(native);
    throw error;
  }
}

/** The CPU needs no asking: it computes whatever the others leave. */
function appendProvider(api: OrtApi, native: Pointer, options: LoadOptions): void {
  if (options.provider === "cpu") return;
  const cuda = received((out) => api.createCudaProviderOptions(out));
  try {
    const entries = cudaOptions(options);
    const keys = Object.keys(entries);
    api.updateCudaProviderOptions(cuda, keys, Object.values(entries), keys.length);
    api.appendCudaProvider(native, cuda);
  } finally {
    api.releaseCudaProviderOptions(cuda);
  }
}
