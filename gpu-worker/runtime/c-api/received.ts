/** An address that C gives through an argument: `received((out) => api.createThing(out))`. */
import { RuntimeError } from "../session.ts";
import type { Pointer } from "./native-function.ts";

/** @throws RuntimeError where the call succeeded but gave no address */
export function received(call: (out: [Pointer | null]) => void): Pointer {
  const out: [Pointer | null] = [null];
  call(out);
  return given(out);
}

/** The same for a call on another thread. */
export async function receivedAsync(
  call: (out: [Pointer | null]) => Promise<void>,
): Promise<Pointer> {
  const out: [Pointer | null] = [null];
  await call(out);
  return given(out);
}

function given([address]: [Pointer | null]): Pointer {
  if (address === null) throw new RuntimeError("ONNX Runtime gave no address");
  return address;
}
