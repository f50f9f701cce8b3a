/**
 * ONNX Runtime has two ways to compute GroupQueryAttention on a CPU. The one that it prefers takes tiles of keys and
 * values, so that scores need no memory; but its loops are compiled for the least of processors (SSE, in 1.30). Of a
 * step of 16 texts with 400 tokens each, attention was 47 % of the time, and is 35 % by products of matrices.
 */
import process from "node:process";
import koffi from "koffi";

/** Read by ONNX Runtime whenever a session is opened. */
const variable = "ORT_GQA_DISABLE_FLASH_ATTENTION";

/** By products, unless the environment says otherwise. On Windows nothing changes. */
export function computeAttentionByProducts(): void {
  if (process.platform === "win32") return;
  // Of stdlib.h. Node's own would be a copy in a worker thread.
  const setEnvironment = koffi.load(null).func("setenv", "int", ["str", "str", "int"]);
  const overwrite = 0;
  setEnvironment(variable, "1", overwrite);
}
