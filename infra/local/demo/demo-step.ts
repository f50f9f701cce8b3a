/** What a step of the demo is given, and what it tells. */
import type { ApiClient } from "./api-client.ts";
import type { WebhookReceiver } from "./webhook-receiver.ts";

export type DemoContext = {
  api: ApiClient;
  /** Null where the running stack may not call it. */
  receiver: WebhookReceiver | null;
  /** Makes this run's texts new to the cache. */
  salt: string;
};

/** @returns lines to print; throws where an answer is wrong. Null: could not be shown here, for the reason printed. */
export type DemoStep = {
  name: string;
  run: (context: DemoContext) => Promise<string[]>;
};

/** Where an answer came from, and how long it took. */
export function origin({ headers, elapsedMs }: { headers: Headers; elapsedMs: number }): string {
  const cache = headers.get("x-cache");
  const source = cache === "hit" ? "from the cache" : "computed";
  return `${source} in ${elapsedMs.toFixed(1)} ms (x-cache: ${cache})`;
}
