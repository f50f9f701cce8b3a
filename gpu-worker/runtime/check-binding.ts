/** Whether a binding fits a model, before C reads and writes its memory. See check-feeds.ts for types and shapes. */
import { namesOf } from "./check-feeds.ts";
import { RuntimeError } from "./session.ts";
import type { ValueInfo } from "./session.ts";

/** Of a model's `known` inputs or outputs, the one of that name. @throws RuntimeError where it has none */
export function findValue(
  known: readonly ValueInfo[],
  name: string,
  kind: "input" | "output",
): ValueInfo {
  const info = known.find((each) => each.name === name);
  if (info === undefined) {
    throw new RuntimeError(`the model has no ${kind} ${name}, only ${namesOf(known)}`);
  }
  return info;
}

type Range = { readonly name: string; readonly address: bigint; readonly byteLength: number };

/** @throws RuntimeError where two outputs were to be written to the same memory */
export function checkApart(outputs: readonly Range[]): void {
  const sorted = outputs
    .filter(({ byteLength }) => byteLength > 0)
    .toSorted((a, b) => (a.address < b.address ? -1 : 1));
  for (const [at, next] of sorted.entries()) {
    const before = sorted[at - 1];
    if (before === undefined || before.address + BigInt(before.byteLength) <= next.address)
      continue;
    throw new RuntimeError(`outputs ${before.name} and ${next.name} are bound to the same memory`);
  }
}
