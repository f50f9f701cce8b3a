/**
 * Whether a runtime works at all: a product with a known result, once; and whether a device computes what the CPU does:
 * an encoder on both, in each form that is served there. Says what is wrong, never falls back.
 */
import { float32, type Tensor } from "../tensor/tensor.ts";
import { RuntimeError } from "./session.ts";
import type { Loader, Session } from "./session.ts";

/** `[[1, 2, 3]] · [[1, −1], [0.5, 4], [0.25, 2]]` */
const x = float32([1, 3], [1, 2, 3]);
export const selfTestWeights = float32([3, 2], [1, -1, 0.5, 4, 0.25, 2]);
const expected = [2.75, 13];
/**
 * `encodeProduct` of MatMul and these weights, as bytes, so that a start loads no protobuf library for it.
 * test/runtime/open-runtime.test.ts makes it again.
 */
export const selfTestModel =
  "CAoSBmxsbS1vczqYAQoeCgF4CgF3EgZNYXRNdWwaBk1hdE11bCIGTWF0TXVsChgKBk1hdE11bBIBeRoBeSIISWRlbnRpdHkSBXByb2JlKiMI" +
  "AwgCEAFCAXdKGAAAgD8AAIC/AAAAPwAAgEAAAIA+AAAAQFoXCgF4EhIKEAgBEgwKBhIEcm93cwoCCANiFwoBeRISChAIARIMCgYSBHJvd3MK" +
  "AggCQgQKABAVQhEKDWNvbS5taWNyb3NvZnQQAQ==";

/** @throws RuntimeError that names the runtime and what went wrong */
export async function selfTest(loader: Loader): Promise<void> {
  try {
    await multiplyOnce(loader);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const where = `ONNX Runtime ${loader.version} (${loader.name}) on cpu`;
    throw new RuntimeError(`${where}: ${message}`, { cause: error });
  }
}

async function multiplyOnce(loader: Loader): Promise<void> {
  const bytes = new Uint8Array(Buffer.from(selfTestModel, "base64"));
  const session = await loader.load({ bytes }, { threads: "shared", provider: "cpu" });
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

/** An encoder's ONNX bytes in both forms, and inputs for it. */
export type DeviceProbe = {
  readonly f32: Uint8Array;
  readonly f16: Uint8Array;
  readonly feeds: Readonly<Record<string, Tensor>>;
};

/**
 * Length of the difference, against that of the CPU's f32 output. A device rounds the factors of f32 products to TF32,
 * of the same 11 bits as f16 (2⁻¹¹ = 4.9e-4): encoders of two layers stray by 1e-3 to 2e-3 with it (test/architectures/
 * half-precision.test.ts), while a kernel that computes something else is off by the whole.
 */
export const deviceTolerance = { f32: 5e-3, f16: 1e-2 } as const;

export type OpenProbe = (bytes: Uint8Array) => Promise<Session>;

/** @throws RuntimeError that names the form and the output that stray too far */
export async function compareWithCpu(
  open: { device: OpenProbe; cpu: OpenProbe },
  probe: DeviceProbe,
): Promise<void> {
  const right = await outputsOf(open.cpu, probe.f32, probe);
  for (const form of ["f32", "f16"] as const) {
    const found = await outputsOf(open.device, probe[form], probe);
    for (const [name, { data }] of Object.entries(right)) {
      const distance = relativeDistance(found[name]?.data ?? [], data);
      if (distance <= deviceTolerance[form]) continue;
      const limit = `allowed is ${deviceTolerance[form]}`;
      throw new RuntimeError(
        `${name} of an encoder in ${form} is off by ${distance.toPrecision(2)} of its length from the CPU's: ${limit}`,
      );
    }
  }
}

async function outputsOf(open: OpenProbe, bytes: Uint8Array, { feeds }: DeviceProbe) {
  const session = await open(bytes);
  try {
    return await session.run({ ...feeds });
  } finally {
    await session.release();
  }
}

type Numbers = ArrayLike<number | bigint>;

/** Length of the difference, against that of what is right. NaN and missing numbers are infinitely far. */
export function relativeDistance(found: Numbers, right: Numbers): number {
  let [gap, length] = [0, 0];
  for (let at = 0; at < right.length; at += 1) {
    const value = Number(right[at]);
    gap += (Number(found[at] ?? NaN) - value) ** 2;
    length += value ** 2;
  }
  const distance = Math.sqrt(gap / length);
  return Number.isNaN(distance) ? Infinity : distance;
}

/** All of the graph on the device: a node that it leaves to the CPU makes loading fail. */
export function testDevice(loader: Loader, probe: DeviceProbe): Promise<void> {
  const device = { threads: 1, provider: "cuda", cpuFallback: false } as const;
  return compareWithCpu(
    {
      device: (bytes) => loader.load({ bytes }, device),
      cpu: (bytes) => loader.load({ bytes }, { threads: 1, provider: "cpu" }),
    },
    probe,
  );
}
