/** From a decoder's graph to a session that is warmed up: one run at a time, which all threads share. */
import type { LoadedSession, Runtime } from "../runtime/session.ts";
import { elementCount } from "../tensor/shape.ts";
import { int64, tensor } from "../tensor/tensor.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { SessionOptions } from "./open-session.ts";

/** Tokens of the run that warms a session up. */
const warmUpTokens = 4;

/** Keys and values stay with the runtime between steps, which the Node binding has no way for. @throws Error */
export function expectBinding({ name }: Pick<Runtime, "name">): void {
  if (name === "c-api") return;
  throw new Error(
    "decoders need ONNX Runtime's C API, which cannot be used on this machine: its Node binding serves encoders alone",
  );
}

/** @throws Error that says what is wrong with the file; the signal's reason */
export async function openDecoder(
  file: string,
  { runtime, provider, deviceMemoryBytes, signal }: SessionOptions,
): Promise<LoadedSession> {
  expectBinding(runtime);
  const bound = deviceMemoryBytes === null ? {} : { deviceMemoryBytes };
  // Of the pool that encoders' runs share, a machine of few cores has no threads left for a run by itself.
  const threads = provider === "cpu" ? runtime.threads : 1;
  const session = await runtime.load({ path: file }, { threads, provider, signal, ...bound });
  try {
    await session.run(firstTokens(session), { outputs: ["logits"], signal });
    return session;
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** A text of a few tokens from its beginning, as architectures/causal-transformer.ts says. */
function firstTokens({ inputs }: LoadedSession): Record<string, Tensor> {
  const past = inputs
    .filter(({ name }) => name.startsWith("past_key_values."))
    .map(({ name, shape }) => {
      const room = [1, Number(shape[1]), warmUpTokens, Number(shape[3])];
      return [name, tensor("float32", room, new Float32Array(elementCount(room)))] as const;
    });
  return {
    input_ids: int64(
      [1, warmUpTokens],
      Array.from({ length: warmUpTokens }, () => 0),
    ),
    lengths: tensor("int32", [1], Int32Array.of(warmUpTokens)),
    total_length: tensor("int32", [], Int32Array.of(warmUpTokens)),
    positions: int64([1], [warmUpTokens - 1]),
    ...Object.fromEntries(past),
  };
}
