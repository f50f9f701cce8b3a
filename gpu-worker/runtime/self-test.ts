/**
 * Whether a runtime works at all on a provider: a product with a known result, once. Says what is wrong, never falls back.
 */
import { float32 } from "../tensor/tensor.ts";
import { encodeProduct } from "./probe-model.ts";
import { RuntimeError } from "./session.ts";
import type { Loader, Provider } from "./session.ts";

/** `[[1, 2, 3]] · [[1, −1], [0.5, 4], [0.25, 2]]` */
const x = float32([1, 3], [1, 2, 3]);
const weights = float32([3, 2], [1, -1, 0.5, 4, 0.25, 2]);
const expected = [2.75, 13];

/** @throws RuntimeError that names the runtime, the provider and what went wrong */
export async function selfTest(loader: Loader, provider: Provider): Promise<void> {
  try {
    await multiplyOnce(loader, provider);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const where = `ONNX Runtime ${loader.version} (${loader.name}) on ${provider}`;
    throw new RuntimeError(`${where}: ${message}`, { cause: error });
  }
}

async function multiplyOnce(loader: Loader, provider: Provider): Promise<void> {
  const bytes = encodeProduct({ operator: "MatMul", weights, output: "value" });
  const session = await loader.load({ bytes }, { threads: "shared", provider });
  try {
    const { y } = await session.run({ x });
    const right = y?.dtype === "float32" && expected.every((value, i) => y.data[i] === value);
    if (!right) {
      throw new RuntimeError(
        `a product came out as ${y?.data.join(", ")}, not ${expected.join(", ")}`,
      );
    }
  } finally {
    await session.release();
  }
}
