/** The runtime as the worker finds it, with CUDA where it can be used; where not, the reason is printed. */
import path from "node:path";
import process from "node:process";
import { deviceProbe } from "../../gpu-worker/graphs/device-probe.ts";
import { openRuntime } from "../../gpu-worker/runtime/open-runtime.ts";

export async function openCuda() {
  const folder =
    process.env["LLM_OS_CUDA"] ?? path.resolve(import.meta.dirname, "../../.llm-os/cuda");
  const said: string[] = [];
  const keep = (_: object, message: string): void => void said.push(message);
  const device = { required: false, folder, probe: deviceProbe };
  const runtime = await openRuntime({ log: { info: keep, warn: keep }, device });
  const hasCuda = runtime.providers.includes("cuda");
  if (!hasCuda) console.log(`skipped: ${said[0] ?? "no CUDA"}`);
  return { runtime, hasCuda };
}
