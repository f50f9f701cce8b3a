/**
 * A webhook of one job as it travels with the job: where events go, which, and the secret that signs them.
 * Read from a request's body by `read-webhook.ts`; deliveries are `webhook-delivery.ts`.
 */
export const webhookEvents = ["start", "output", "completed"] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

export type Webhook = {
  url: string;
  /** Never empty. */
  events: readonly WebhookEvent[];
  /** `whsec_<base64>`, Standard Webhooks. */
  secret: string;
  /** Where the caller reached the edge, for links of what is too large to send; absent in jobs of older versions. */
  origin?: string;
  /** True: made for this request, to be shown once in the 202 body. */
  secretGenerated: boolean;
};
