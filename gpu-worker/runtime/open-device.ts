/**
 * CUDA, if it can be used here: the provider that `install-cuda` brought, a driver that is new enough, a GPU, and an
 * encoder that comes out as on the CPU. Each step's error says what is missing and what to do.
 */
import { existsSync } from "node:fs";
import { RuntimeError } from "./session.ts";
import type { Loader, RuntimeLog } from "./session.ts";
import { type DeviceProbe, selfTest, testDevice } from "./self-test.ts";

export type DeviceOptions = {
  /** Nothing but CUDA will do. */
  required: boolean;
  /** The folder that `npm run worker -- install-cuda` fills. */
  folder: string;
  /** Made where it comes to comparing. */
  probe: () => Promise<DeviceProbe>;
};

export type Device = {
  loader: Loader;
  /** Of the first GPU; 0: it does not say. */
  memoryBytes: number;
};

/** There where NVIDIA's kernel driver is loaded. */
const driverTrace = "/proc/driver/nvidia/version";

/** CUDA was required and cannot be used; the message completes "CUDA cannot be used: …". */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

/**
 * @param threads as of `OpenRuntimeOptions`
 * @returns null where the CPU has to do
 * @throws DeviceError where CUDA is required
 */
export async function openDevice(
  options: DeviceOptions,
  threads: number,
  log: RuntimeLog,
): Promise<Device | null> {
  try {
    return await openCuda(options, threads);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (options.required) throw new DeviceError(reason, { cause: error });
    // Where neither provider nor driver is, nobody expects a GPU.
    const expected = existsSync(options.folder) || existsSync(driverTrace);
    const words = `CUDA cannot be used, so the CPU computes: ${reason}`;
    if (expected) log.warn({ error }, words);
    else log.info({}, words);
    return null;
  }
}

async function openCuda({ folder, probe }: DeviceOptions, threads: number): Promise<Device> {
  // Imported here, because koffi throws while it is imported where it has no build for the platform.
  const { findRuntimeLibrary, preloadCuda } = await import("./c-api/cuda-libraries.ts");
  const { deviceMemory, findDriver } = await import("./c-api/cuda-driver.ts");
  const { openCApi } = await import("./c-api/c-api-runtime.ts");
  const library = findRuntimeLibrary(folder);
  const { problem } = findDriver(folder);
  if (problem !== null) throw new RuntimeError(problem);
  preloadCuda(folder);
  const loader = openCApi(library, threads);
  await selfTest(loader);
  await testDevice(loader, await probe());
  return { loader, memoryBytes: deviceMemory(folder).total };
}
