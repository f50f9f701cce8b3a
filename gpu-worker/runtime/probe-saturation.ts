/**
 * Whether 8-bit products come out wrong on this machine. CPUs without VNNI multiply u8 by s8 with an instruction that
 * adds pairs of products in 16 bits and saturates: 255 · 127 · 2 does not fit. Weights in 7 bits are exact everywhere.
 */
import type { Tensor } from "../tensor/tensor.ts";
import { encodeProduct } from "./probe-model.ts";
import { RuntimeError } from "./session.ts";
import type { Loader } from "./session.ts";

const [rows, inner, columns] = [4, 64, 32];
const [activation, weight] = [255, 127];

/** @returns true where MatMulInteger of u8 and full-range s8 saturates */
export async function probeSaturation(loader: Loader): Promise<boolean> {
  const weights: Tensor<"int8"> = {
    dtype: "int8",
    shape: [inner, columns],
    data: new Int8Array(inner * columns).fill(weight),
  };
  const bytes = await encodeProduct({ operator: "MatMulInteger", weights, output: "value" });
  const session = await loader.load({ bytes }, { threads: 1, provider: "cpu" });
  try {
    const data = new Uint8Array(rows * inner).fill(activation);
    const { y } = await session.run({ x: { dtype: "uint8", shape: [rows, inner], data } });
    if (y?.dtype !== "int32") throw new RuntimeError("the saturation probe gave no int32");
    return y.data.some((sum) => sum !== inner * activation * weight);
  } finally {
    await session.release();
  }
}
