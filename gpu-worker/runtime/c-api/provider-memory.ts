/** Memory where a provider computes. */
import { openCudaCopies } from "./cuda-copies.ts";
import { openLazyMemory } from "./lazy-memory.ts";
import { openCpuCopies } from "./memory-copies.ts";
import type { Copies } from "./memory-copies.ts";
import type { Pointer } from "./native-function.ts";
import type { NativeSession } from "./native-run.ts";
import { received } from "./received.ts";

export type ProviderMemory = Copies & {
  /** Where it is, as ONNX Runtime's memory info. */
  readonly info: Pointer;
  readonly allocate: (bytes: number) => Pointer;
  /** Makes zeros of what was just allocated. */
  readonly zero: (address: Pointer, bytes: number) => Promise<void>;
  /** What is there is not needed any more, see `ResidentValue.discard`. */
  readonly discard: (address: Pointer, bytes: number) => Promise<void>;
  /** Off the event loop: the pages of a gigabyte take some 100 ms. */
  readonly free: (address: Pointer) => Promise<void>;
  /** When all is freed. */
  readonly release: () => void;
};

/** @throws RuntimeError where the provider's library cannot be called */
export function openProviderMemory(native: NativeSession): ProviderMemory {
  return native.provider === "cpu" ? cpuMemory(native) : cudaMemory(native);
}

/** Not the arena that runs share, which keeps what is freed. */
function cpuMemory({ memory: info }: NativeSession): ProviderMemory {
  return {
    ...openCpuCopies(),
    ...openLazyMemory(),
    info,
    zero: () => Promise.resolve(),
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
    discard: () => Promise.resolve(),
    release: () => {
      api.releaseAllocator(allocator);
      api.releaseMemoryInfo(info);
    },
  };
}
