import { addAbortListener } from "node:events";

/** Resolves when the signal aborts, or at once where it has. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => void addAbortListener(signal, () => resolve()));
}
