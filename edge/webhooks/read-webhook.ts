/**
 * Reads a job's webhook from the fields `webhook`, `webhook_events_filter` and `webhook_secret` of a request's body.
 * Called by a route after its schema and before admission, so that a refused webhook costs nothing.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { checkWebhookSecret, generateWebhookSecret } from "./secret.ts";
import { checkWebhookUrl } from "./url-guard.ts";
import { type Webhook, webhookEvents } from "./webhook.ts";

/** The fields as a route's schema takes them in beside its own. */
export const webhookFields = {
  webhook: z
    .string()
    .max(2_000)
    .optional()
    .describe("An https address that is told of the job. Only with Prefer: respond-async."),
  webhook_events_filter: z
    .array(z.enum(webhookEvents))
    .min(1)
    .max(webhookEvents.length)
    .optional()
    .describe("What the webhook is told of. Default: completed."),
  webhook_secret: z
    .string()
    .max(200)
    .optional()
    .describe("Signs what the webhook is sent, whsec_ and base64. Default: a fresh one."),
} as const;

export type WebhookFields = z.infer<z.ZodObject<typeof webhookFields>>;

type Dependencies = {
  /** Whether the caller sent `Prefer: respond-async`. */
  respondAsync: boolean;
  /** `host:port` targets open over http and on private addresses. */
  allowed: readonly string[];
  /** Scheme and authority under which the caller reached the edge. */
  origin: string;
  fillRandom: (bytes: Uint8Array<ArrayBuffer>) => void;
};

/**
 * @returns the webhook, or null where the request names none
 * @throws CodedError `invalid_value` for a field that cannot be honoured
 */
export function readWebhook(fields: WebhookFields, dependencies: Dependencies): Webhook | null {
  if (fields.webhook === undefined) {
    refuseOrphan(fields, "webhook_events_filter");
    refuseOrphan(fields, "webhook_secret");
    return null;
  }
  if (!dependencies.respondAsync) {
    const message =
      "webhook: sent only for an asynchronous job; add the header `Prefer: respond-async`";
    throw new CodedError("invalid_value", message, { param: "webhook" });
  }
  const given = fields.webhook_secret;
  return {
    url: checkWebhookUrl(fields.webhook, dependencies.allowed),
    events: [...new Set(fields.webhook_events_filter ?? (["completed"] as const))],
    secret:
      given === undefined
        ? generateWebhookSecret(dependencies.fillRandom)
        : checkWebhookSecret(given),
    origin: dependencies.origin,
    secretGenerated: given === undefined,
  };
}

function refuseOrphan(fields: WebhookFields, name: keyof WebhookFields): void {
  if (fields[name] === undefined) return;
  throw new CodedError("invalid_value", `${name}: has no meaning without \`webhook\``, {
    param: name,
  });
}
