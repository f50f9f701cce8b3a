/**
 * Closed-loop HTTP load: so many callers, each sending its next request when the last was answered whole. Uses undici's
 * lowest interface, so that on a small machine the client costs little of what is measured.
 */
import { type Dispatcher, Pool } from "undici";

export type Load = {
  origin: string;
  path: string;
  headers: Record<string, string>;
  /** Body of the i-th request. */
  body: (i: number) => string;
  callers: number;
  requests: number;
};

export type LoadFigures = { requestsPerSecond: number; p50Ms: number; p95Ms: number };

/** @throws on the first answer that is not a 200 */
export async function runLoad(load: Load, signal: AbortSignal): Promise<LoadFigures> {
  const pool = new Pool(load.origin, { connections: load.callers, pipelining: 1 });
  const latenciesMs: number[] = [];
  let next = 0;
  const caller = async () => {
    while (next < load.requests) {
      signal.throwIfAborted();
      const i = next;
      next += 1;
      const sentAt = performance.now();
      await send(pool, load, i);
      latenciesMs.push(performance.now() - sentAt);
    }
  };
  const startedAt = performance.now();
  try {
    await Promise.all(Array.from({ length: load.callers }, caller));
    const seconds = (performance.now() - startedAt) / 1_000;
    latenciesMs.sort((a, b) => a - b);
    return {
      requestsPerSecond: load.requests / seconds,
      p50Ms: quantile(latenciesMs, 0.5),
      p95Ms: quantile(latenciesMs, 0.95),
    };
  } finally {
    await pool.destroy();
  }
}

function send(pool: Pool, load: Load, i: number): Promise<void> {
  const request: Dispatcher.DispatchOptions = {
    path: load.path,
    method: "POST",
    headers: load.headers,
    body: load.body(i),
  };
  return new Promise((resolve, reject) => {
    let status = 0;
    let refusal = "";
    pool.dispatch(request, {
      onRequestStart: () => {},
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        if (status !== 200) refusal += chunk.toString();
      },
      onResponseEnd: () => {
        if (status === 200) resolve();
        else reject(new Error(`${load.path} answered ${status}: ${refusal}`));
      },
      onResponseError: (_controller, error) => reject(error),
    });
  });
}

/** @param sorted ascending, not empty */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
