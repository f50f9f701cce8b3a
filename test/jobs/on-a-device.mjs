/** Preloaded into a worker process: its runtime is replaced by that of device-on-the-cpu.ts. */
import { registerHooks } from "node:module";

const replaced = new URL("../../gpu-worker/runtime/open-runtime.ts", import.meta.url).href;
const replacement = new URL("device-on-the-cpu.ts", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const isReplaced = resolved.url === replaced && context.parentURL !== replacement;
    return isReplaced ? { ...resolved, url: replacement } : resolved;
  },
});
