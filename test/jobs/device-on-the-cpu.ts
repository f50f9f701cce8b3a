/**
 * A runtime that says it has a GPU and computes on the CPU, for what lies around one: the form, the budgets, the
 * faults. Runs fail with a CUDA error while the file that FAILS_WHILE names is there.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import {
  openRuntime as openReal,
  type OpenRuntimeOptions,
} from "../../gpu-worker/runtime/open-runtime.ts";
import { RuntimeError } from "../../gpu-worker/runtime/session.ts";
import type { Runtime, Session } from "../../gpu-worker/runtime/session.ts";

const failsWhile = process.env["FAILS_WHILE"] ?? "";

export async function openRuntime({ log }: OpenRuntimeOptions): Promise<Runtime> {
  const real = await openReal({ log });
  return {
    ...real,
    providers: ["cuda", "cpu"],
    deviceMemoryBytes: 8 * 2 ** 30,
    load: async (model, { provider, ...options }) => {
      const onCpu = { ...options, provider: "cpu", cpuFallback: true } as const;
      const session = await real.load(model, onCpu);
      const run: Session["run"] = (feeds, running) =>
        provider === "cuda" && existsSync(failsWhile)
          ? Promise.reject(new RuntimeError("CUDA failure 719: unspecified launch failure ; GPU=0"))
          : session.run(feeds, running);
      return { ...session, provider, run };
    },
  };
}
