/**
 * What the CUDA runtime library says of the driver and the GPU: asked before ONNX Runtime is, whose own message for a
 * machine without a driver is that a library of its provider cannot be loaded.
 */
import path from "node:path";
import koffi from "koffi";
import { configureStacks } from "./koffi-stacks.ts";

export type Driver = {
  /** What is wrong and what to do; null: a GPU can be used. */
  problem: string | null;
  /** The newest CUDA it can run, such as 13.0; 0.0 without a driver. */
  version: string;
  devices: number;
};

/** The libraries are of CUDA 13.0, and run on any driver for it or a later one (minor version compatibility). */
const versionMin = 13_000;
const remedy = "CUDA 13 needs an NVIDIA driver 580 or newer";

/** @param folder with libcudart.so.13. @throws koffi's error where it cannot be loaded */
export function findDriver(folder: string): Driver {
  const cudart = openCudart(folder);
  const version: [number] = [0];
  // 0 and success where libcuda.so.1, the driver's library, is not found.
  cudart.driverGetVersion(version);
  const devices: [number] = [0];
  const error = cudart.getDeviceCount(devices);
  const words = `${Math.floor(version[0] / 1_000)}.${Math.floor((version[0] % 1_000) / 10)}`;
  const problem = problemOf(version[0], words, error === 0 ? null : cudart.getErrorString(error));
  return { problem, version: words, devices: devices[0] };
}

function problemOf(version: number, words: string, error: string | null): string | null {
  if (version === 0) {
    const missing = `there is no NVIDIA driver here (libcuda.so.1 is not found): ${remedy}`;
    return `${missing}; start a container with its GPUs (--gpus all)`;
  }
  if (version < versionMin) return `the NVIDIA driver is for CUDA ${words}: ${remedy}`;
  return error === null ? null : `the NVIDIA driver gives no GPU: ${error}`;
}

/** Bytes of the first GPU: those that are free, and all. Makes a context on it. */
export function deviceMemory(folder: string): { free: number; total: number } {
  const free: [number] = [0];
  const total: [number] = [0];
  const error = openCudart(folder).memGetInfo(free, total);
  return error === 0 ? { free: free[0], total: total[0] } : { free: 0, total: 0 };
}

/** cuda_runtime_api.h; each gives a cudaError_t. */
function openCudart(folder: string) {
  configureStacks();
  const library = koffi.load(path.resolve(folder, "libcudart.so.13"));
  const intOut = koffi.out(koffi.pointer("int"));
  const sizeOut = koffi.out(koffi.pointer("size_t"));
  return {
    driverGetVersion: library.func("cudaDriverGetVersion", "int", [intOut]),
    getDeviceCount: library.func("cudaGetDeviceCount", "int", [intOut]),
    memGetInfo: library.func("cudaMemGetInfo", "int", [sizeOut, sizeOut]),
    getErrorString: library.func("cudaGetErrorString", "str", ["int"]),
  };
}
