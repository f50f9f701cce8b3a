/**
 * Chooses how ONNX Runtime is called, and on what it computes: the C API where its self-test runs, else the Node
 * binding in threads; CUDA where asked for and usable (open-device.ts), else the CPU. Every step down is logged with
 * its reason.
 */
import { availableParallelism } from "node:os";
import { type DeviceOptions, openDevice } from "./open-device.ts";
import { openNodeBinding } from "./node-binding/node-binding-runtime.ts";
import { selfTest } from "./self-test.ts";
import type { Loader, Provider, Runtime, RuntimeLog } from "./session.ts";
import { watchPool } from "./watch-pool.ts";

export type OpenRuntimeOptions = {
  log: RuntimeLog;
  /** Only this one: no falling back. */
  only?: Runtime["name"];
  /** Compute on a GPU if it can be used, or must. Absent: on the CPU. */
  device?: DeviceOptions;
  /** Another build of ONNX Runtime's library for the C API, by its path. Default: the one onnxruntime-node ships. */
  libraryFile?: string;
  /**
   * Threads of all sessions that share. Default: the cores this process may use, as its container or its affinity says.
   * Of the C API, only the first in a process decides.
   */
  threads?: number;
  /** Threads of libuv's pool, watched where given: what UV_THREADPOOL_SIZE was when the pool was first used. */
  poolThreads?: number;
};

/** @throws RuntimeError where neither way works, or not the one asked for; DeviceError where a device is required */
export async function openRuntime(options: OpenRuntimeOptions): Promise<Runtime> {
  const { log, poolThreads, threads = availableParallelism() } = options;
  const device =
    options.device === undefined ? null : await openDevice(options.device, threads, log);
  const loader = device?.loader ?? (await chooseLoader(options, threads));
  const providers: Provider[] = device === null ? ["cpu"] : ["cuda", "cpu"];
  const watched = loader.name === "c-api" && poolThreads !== undefined;
  const runtime: Runtime = {
    ...(watched ? watchPool(loader, poolThreads, log) : loader),
    providers,
    threads,
    deviceMemoryBytes: device?.memoryBytes ?? null,
    describe: () => `ONNX Runtime ${loader.version}, ${loader.name}, ${providers.join(" then ")}`,
  };
  options.log.info(
    { runtime: loader.name, version: loader.version, providers },
    runtime.describe(),
  );
  return runtime;
}

async function chooseLoader(options: OpenRuntimeOptions, threads: number): Promise<Loader> {
  if (options.only === "c-api") return testedCApi(options, threads);
  if (options.only === "node-binding") return testedNodeBinding(threads);
  try {
    return await testedCApi(options, threads);
  } catch (error) {
    options.log.warn({ error }, "ONNX Runtime's C API cannot be used: its Node binding is");
    return testedNodeBinding(threads);
  }
}

async function testedCApi(options: OpenRuntimeOptions, threads: number): Promise<Loader> {
  // Imported here, because koffi throws while it is imported where it has no build for the platform.
  const { openCApi } = await import("./c-api/c-api-runtime.ts");
  const loader = openCApi(options.libraryFile ?? null, threads);
  await selfTest(loader);
  return loader;
}

async function testedNodeBinding(threads: number): Promise<Loader> {
  const loader = openNodeBinding(threads);
  await selfTest(loader);
  return loader;
}
