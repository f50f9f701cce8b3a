/**
 * Gives back the memory that runs have left for later ones: it is as large as the largest runs side by side were. ONNX
 * Runtime does it at the end of a run that says so: one of next to nothing.
 */
import { float32 } from "../tensor/tensor.ts";
import { encodeProduct } from "./probe-model.ts";
import type { Loader } from "./session.ts";

/** Does nothing where it is not the C API that runs. */
export async function returnRunMemory({
  name,
  load,
}: Pick<Loader, "name" | "load">): Promise<void> {
  if (name !== "c-api") return;
  const one = float32([1, 1], [1]);
  const bytes = await encodeProduct({ operator: "MatMul", weights: one, output: "value" });
  const session = await load({ bytes }, { threads: "shared", provider: "cpu" });
  try {
    await session.run({ x: one }, { returnsMemory: true });
  } finally {
    await session.release();
  }
}
