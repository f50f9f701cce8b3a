/** Memory where a provider computes: allocated by ONNX Runtime's allocator for it. */
import { openCudaCopies } from "./cuda-copies.ts";
import { openCpuCopies } from "./memory-copies.ts";
import type { Copies } from "./memory-copies.ts";
import type { Pointer } from "./native-function.ts";
import type { NativeSession } from "./native-run.ts";
import { received } from "./received.ts";

export type ProviderMemory = Copies & {
  /** Where it is, as ONNX Runtime's memory info. */
  readonly info: Pointer;
  readonly allocate: (bytes: number) => Pointer;
  /** Off the event loop: the pages of a gigabyte take some 100 ms. */
  readonly free: (address: Pointer) => Promise<void>;
  /** When all is freed. */
  readonly release: () => void;
};

/** @throws RuntimeError where the provider's library cannot be called */
export function openProviderMemory(native: NativeSession): ProviderMemory {
  return native.provider === "cpu" ? cpuMemory(native) : cudaMemory(native);
}

/** Not the arena that runs share, which keeps what is freed: large allocations go back to the machine. */
function cpuMemory({ api, memory: info }: NativeSession): ProviderMemory {
  const allocator = received((out) => api.getDefaultAllocator(out));
  return {
    ...openCpuCopies(),
    info,
    allocate: (bytes) => received((out) => api.allocatorAlloc(allocator, bytes, out)),
    free: (address) => api.allocatorFreeAsync(allocator, address),
    release: () => undefined,
  };
}

/** OrtArenaAllocator, the first device, OrtMemTypeDefault. */
const [arenaAllocator, device, defaultMemory] = [1, 0, 0];

/** The session's arena: within its bound, and freed with the session. */
function cudaMemory({ api, session }: NativeSession): ProviderMemory {
  const copies = openCudaCopies();
  const info = received((out) =>
    api.createMemoryInfo("Cuda", arenaAllocator, device, defaultMemory, out),
  );
  const allocator = received((out) => api.createAllocator(session, info, out));
  return {
    ...copies,
    info,
    allocate: (bytes) => received((out) => api.allocatorAlloc(allocator, bytes, out)),
    free: (address) => api.allocatorFreeAsync(allocator, address),
    release: () => {
      api.releaseAllocator(allocator);
      api.releaseMemoryInfo(info);
    },
  };
}
