/**
 * One try of one webhook delivery: signs the event as Standard Webhooks asks and posts it. Redirects are not followed,
 * the answer's body is never read, and a try ends after 15 s.
 */
import { Webhook as Signer } from "standardwebhooks";
import { withTimeout } from "../http/with-timeout.ts";
import type { Attempt } from "./retry-schedule.ts";

const timeoutMs = 15_000;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type Envelope = { messageId: string; url: string; secret: string; body: string };

function retryAfterSeconds(response: Response): number | null {
  const header = response.headers.get("retry-after") ?? "";
  return /^\d{1,9}$/.test(header) ? Number(header) : null;
}

/** @param now ms since the epoch, the signature's timestamp */
export async function postEvent(envelope: Envelope, fetch: Fetch, now: number): Promise<Attempt> {
  const { messageId, url, secret, body } = envelope;
  const timestamp = new Date(now);
  const headers = {
    "content-type": "application/json",
    "user-agent": "llm-os-webhooks/1",
    "webhook-id": messageId,
    "webhook-timestamp": String(Math.floor(now / 1_000)),
    "webhook-signature": new Signer(secret).sign(messageId, timestamp, body),
  };
  try {
    const response = await withTimeout(timeoutMs, async (signal) => {
      const answer = await fetch(url, {
        method: "POST",
        headers,
        body,
        redirect: "manual",
        signal,
      });
      await answer.body?.cancel();
      return answer;
    });
    return {
      kind: "answered",
      status: response.status,
      retryAfterSeconds: retryAfterSeconds(response),
    };
  } catch (error) {
    return { kind: "unanswered", reason: String(error).slice(0, 500) };
  }
}
