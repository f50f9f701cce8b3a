/**
 * A session of the C API bound to values in its provider's memory. `Run` takes OrtValues for outputs too, and writes
 * into them; so there is nothing that IoBinding would add but state. The OrtValues are made once, for all runs.
 */
import { checkApart, findValue } from "../check-binding.ts";
import { checkFeeds, checkValue } from "../check-feeds.ts";
import type { Binding, BoundSession, ResidentValue } from "../bound-session.ts";
import { createRunQueue } from "../run-queue.ts";
import type { RunQueue } from "../run-queue.ts";
import { RuntimeError } from "../session.ts";
import type { Provider, ValueInfo } from "../session.ts";
import { compute } from "./native-run.ts";
import type { BoundValues, NativeSession } from "./native-run.ts";
import { wrapMemory } from "./native-tensor.ts";
import { NativeValue } from "./native-value.ts";
import type { OrtApi } from "./ort-api.ts";

export type Bindable = {
  readonly native: NativeSession;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Of all runs of the session. */
  readonly queue: RunQueue;
  /** A number for what is captured, another each time. @throws RuntimeError where it is too much */
  readonly nextCaptured: () => number;
};

type Bound = {
  readonly name: string;
  readonly kind: "input" | "output";
  readonly value: NativeValue;
};

/** @throws RuntimeError that names the input or output that does not fit */
export function createBoundSession(session: Bindable, binding: Binding): BoundSession {
  const { native, queue } = session;
  const { bound, wanted } = readBinding(session, binding);
  const fed = session.inputs.filter(({ name }) => !bound.some(isInput(name)));
  const inputs = wrapValues(native.api, bound, "input");
  const outputs = wrapValues(native.api, bound, "output");
  // One after the other, also where the session computes several runs at a time: they write to the same memory.
  const turns = createRunQueue(1);
  const capturing = binding.captured === true && { captured: session.nextCaptured() };
  let released: Promise<void> | null = null;
  return {
    run: async (feeds, { signal } = {}) => {
      if (released !== null) throw new RuntimeError("the bound session is released");
      const twice = Object.keys(feeds).find((name) => bound.some(isInput(name)));
      if (twice !== undefined) throw new RuntimeError(`input ${twice} is bound to a value`);
      checkFeeds(fed, feeds);
      const ours = { wanted, bound: { inputs, outputs }, ...capturing };
      const call = { feeds, ...ours, ...(signal && { signal }) };
      const run = () => using(bound, () => compute(native, call));
      return turns.run(() => queue.run(run, signal), signal);
    },
    release: () =>
      (released ??= turns.runAlone(async () => {
        for (const value of [...inputs.values, ...outputs.values]) native.api.releaseValue(value);
      })),
  };
}

const isInput = (name: string) => (each: Bound) => each.kind === "input" && each.name === name;

function readBinding(
  { native, inputs, outputs }: Bindable,
  binding: Binding,
): { bound: Bound[]; wanted: string[] } {
  const bound: Bound[] = [];
  const wanted: string[] = [];
  const add = (info: ValueInfo, given: ResidentValue, kind: Bound["kind"]): void => {
    checkValue(info, given, kind);
    const { name } = info;
    bound.push({ name, kind, value: nativeValue(given, native.provider, `${kind} ${name}`) });
  };
  for (const [name, value] of Object.entries(binding.inputs ?? {})) {
    add(findValue(inputs, name, "input"), value, "input");
  }
  for (const [name, value] of Object.entries(binding.outputs)) {
    const info = findValue(outputs, name, "output");
    if (value === "host") wanted.push(name);
    else add(info, value, "output");
  }
  const written = bound.filter(({ kind }) => kind === "output");
  if (written.length + wanted.length === 0) throw new RuntimeError("no output is bound");
  const ranges = written.map(({ name, value }) => {
    const { address, byteLength } = value;
    return { name, address, byteLength };
  });
  if (binding.sharing !== true) checkApart(ranges);
  return { bound, wanted };
}

function nativeValue(value: ResidentValue, provider: Provider, place: string): NativeValue {
  if (!(value instanceof NativeValue)) {
    throw new RuntimeError(
      `${place} is bound to a value that no session of this runtime allocated`,
    );
  }
  const { allocation } = value;
  if (allocation.provider !== provider) {
    throw new RuntimeError(
      `${place} is bound to a value on ${allocation.provider}, not ${provider}`,
    );
  }
  checkUnreleased(value, place);
  return value;
}

function checkUnreleased({ allocation }: NativeValue, place: string): void {
  if (allocation.released) throw new RuntimeError(`${place} is bound to a value that is released`);
}

function wrapValues(api: OrtApi, bound: readonly Bound[], kind: Bound["kind"]): BoundValues {
  const ours = bound.filter((each) => each.kind === kind);
  return {
    names: ours.map(({ name }) => name),
    values: ours.map(({ value }) => wrapMemory(api, value.allocation.memory.info, value)),
  };
}

/** @throws RuntimeError that names what is released */
async function using<T>(bound: readonly Bound[], work: () => Promise<T>): Promise<T> {
  for (const { kind, name, value } of bound) checkUnreleased(value, `${kind} ${name}`);
  for (const { value } of bound) value.allocation.enter();
  try {
    return await work();
  } finally {
    for (const { value } of bound) value.allocation.leave();
  }
}
