/** Time limits of calls outwards. Unlike `AbortSignal.timeout`, no timer outlives the call. */

/** @throws what `call` throws; a DOMException `TimeoutError` where the time is up */
export async function withTimeout<T>(
  milliseconds: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const reason = new DOMException(`no answer within ${milliseconds} ms`, "TimeoutError");
  const timer = setTimeout(() => controller.abort(reason), milliseconds);
  try {
    return await call(controller.signal);
  } finally {
    clearTimeout(timer);
  }
}
