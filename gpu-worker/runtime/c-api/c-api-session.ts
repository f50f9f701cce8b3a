/**
 * A session of the C API: every run on a thread of libuv's pool, as many at a time as it was loaded for.
 */
import { checkFeeds, wantedOutputs } from "../check-feeds.ts";
import { createRunQueue } from "../run-queue.ts";
import { RuntimeError } from "../session.ts";
import type { Session } from "../session.ts";
import { compute } from "./native-run.ts";
import type { NativeSession } from "./native-run.ts";
import { returnMemory } from "./return-memory.ts";
import { readInputs, readOutputs } from "./value-info.ts";

/**
 * @throws RuntimeError for a model with inputs or outputs that are no tensors; the native session is then the caller's
 */
export function createCApiSession(native: NativeSession): Session {
  const { api, session, provider, concurrency } = native;
  const inputs = readInputs(api, session);
  const outputs = readOutputs(api, session);
  const queue = createRunQueue(concurrency);
  let released: Promise<void> | null = null;
  return {
    provider,
    concurrency,
    inputs,
    outputs,
    run: async (feeds, options = {}) => {
      if (released !== null) throw new RuntimeError("the session is released");
      checkFeeds(inputs, feeds);
      const { outputs: _, ...how } = options;
      const call = { feeds, wanted: wantedOutputs(outputs, options), ...how };
      return queue.run(() => compute(native, call), options.signal);
    },
    release: () =>
      (released ??= queue.runAlone(async () => {
        await api.releaseSession(session);
        await returnMemory();
      })),
  };
}
