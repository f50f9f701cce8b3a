/** A session of the C API: every run on a thread of libuv's pool, as many at a time as it was loaded for. */
import type { BoundSession } from "../bound-session.ts";
import { checkFeeds, wantedOutputs } from "../check-feeds.ts";
import { createRunQueue } from "../run-queue.ts";
import { RuntimeError } from "../session.ts";
import type { LoadedSession } from "../session.ts";
import { createBoundSession } from "./c-api-bound-session.ts";
import { createAllocations } from "./native-allocations.ts";
import { compute } from "./native-run.ts";
import type { NativeSession } from "./native-run.ts";
import { returnMemory } from "./return-memory.ts";
import { readInputs, readOutputs } from "./value-info.ts";

/**
 * What a session may have captured, as nothing of it is freed before the session is: some megabytes each of a decoder.
 */
const capturedMax = 128;

/**
 * @throws RuntimeError for a model with inputs or outputs that are no tensors; the native session is then the caller's
 */
export function createCApiSession(native: NativeSession): LoadedSession {
  const { api, session, provider, concurrency, thread } = native;
  const inputs = readInputs(api, session);
  const outputs = readOutputs(api, session);
  const queue = createRunQueue(concurrency);
  const values = createAllocations(native);
  const bound = new Set<BoundSession>();
  let captured = 0;
  const nextCaptured = (): number => {
    if (captured === capturedMax)
      throw new RuntimeError(`${capturedMax} runs are captured already`);
    return (captured += 1);
  };
  const bindable = { native, inputs, outputs, queue, nextCaptured };
  let released: Promise<void> | null = null;
  const checkOpen = (): void => {
    if (released !== null) throw new RuntimeError("the session is released");
  };
  const release = async (): Promise<void> => {
    await Promise.all(Array.from(bound, (each) => each.release()));
    await queue.runAlone(async () => {
      await values.release();
      await thread?.release();
      await api.releaseSession(session);
      await returnMemory();
    });
  };
  return {
    provider,
    concurrency,
    inputs,
    outputs,
    run: async (feeds, options = {}) => {
      checkOpen();
      checkFeeds(inputs, feeds);
      const { outputs: _, ...how } = options;
      const call = { feeds, wanted: wantedOutputs(outputs, options), ...how };
      return queue.run(() => compute(native, call), options.signal);
    },
    allocate: async (dtype, shape) => {
      checkOpen();
      return values.allocate(dtype, shape);
    },
    bind: (binding) => {
      checkOpen();
      const made = createBoundSession(bindable, binding);
      const forget = () => made.release().finally(() => bound.delete(made));
      bound.add(made);
      return { ...made, release: forget };
    },
    release: () => (released ??= release()),
  };
}
