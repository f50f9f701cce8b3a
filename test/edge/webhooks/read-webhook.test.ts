/** The webhook fields of a request's body. */
import { describe, expect, it } from "vitest";
import { Webhook as Verifier } from "standardwebhooks";
import { readWebhook, type WebhookFields } from "../../../edge/webhooks/read-webhook.ts";

const url = "https://example.com/hook";
const origin = "https://edge.test";
const ownSecret = `whsec_${btoa("0123456789abcdef01234567")}`;

function fillRandom(bytes: Uint8Array): void {
  bytes.fill(7);
}

function read(fields: WebhookFields, respondAsync = true) {
  return readWebhook(fields, { respondAsync, allowed: [], origin, fillRandom });
}

describe("a request's webhook", () => {
  it("is null where the body names none", () => {
    expect(read({}, false)).toBeNull();
  });

  it("has a fresh secret the standard's library takes, and tells of the end alone", () => {
    const webhook = read({ webhook: url });
    expect(webhook).toMatchObject({ url, events: ["completed"], secretGenerated: true });
    expect(webhook?.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(() => new Verifier(webhook?.secret ?? "")).not.toThrow();
  });

  it("keeps the caller's own secret and the events asked for, each once", () => {
    const webhook = read({
      webhook: url,
      webhook_secret: ownSecret,
      webhook_events_filter: ["start", "output", "start"],
    });
    expect(webhook).toEqual({
      url,
      events: ["start", "output"],
      secret: ownSecret,
      origin,
      secretGenerated: false,
    });
  });

  it("is refused for a call that waits, which says what to add", () => {
    expect(() => read({ webhook: url }, false)).toThrowError(/Prefer: respond-async/);
  });

  it.each([
    ["not of the form", "secret"],
    ["not base64", "whsec_%%%%"],
    ["too short", `whsec_${btoa("short")}`],
    ["too long", `whsec_${btoa("x".repeat(66))}`],
  ])("with a secret %s is refused", (_, webhook_secret) => {
    expect(() => read({ webhook: url, webhook_secret })).toThrowError(
      expect.objectContaining({ code: "invalid_value", param: "webhook_secret" }),
    );
  });

  it.each([
    ["webhook_secret", { webhook_secret: ownSecret }],
    ["webhook_events_filter", { webhook_events_filter: ["start" as const] }],
  ])("%s without a webhook is refused", (param, fields) => {
    expect(() => read(fields)).toThrowError(
      expect.objectContaining({ code: "invalid_value", param }),
    );
  });
});
