/** Which addresses a webhook may name. */
import { describe, expect, it } from "vitest";
import { checkWebhookUrl } from "../../../edge/webhooks/url-guard.ts";

const nothingAllowed: string[] = [];

describe("a webhook's address", () => {
  it.each([
    ["https://example.com/hook", "https://example.com/hook"],
    ["https://example.com:443/hook?a=b", "https://example.com/hook?a=b"],
    ["https://hooks.example.com:8443", "https://hooks.example.com:8443/"],
    ["HTTPS://Example.COM/#fragment", "https://example.com/"],
  ])("%s is taken as %s", (text, canonical) => {
    expect(checkWebhookUrl(text, nothingAllowed)).toBe(canonical);
  });

  it.each([
    ["no URL", "not a url"],
    ["a path alone", "/hook"],
    ["plain http", "http://example.com/"],
    ["another scheme", "ftp://example.com/"],
    ["a script", "javascript:alert(1)"],
    ["a data URL", "data:text/plain,hello"],
    ["a port of something else", "https://example.com:22/"],
    ["the port of http", "https://example.com:80/"],
    ["credentials", "https://user:password@example.com/"],
    ["a user name", "https://user@example.com/"],
    ["an IPv4 address", "https://127.0.0.1/"],
    ["a public IPv4 address", "https://93.184.215.14/"],
    ["a decimal address", "https://2130706433/"],
    ["a hexadecimal address", "https://0x7f000001/"],
    ["an octal address", "https://0177.0.0.1/"],
    ["a short address", "https://127.1/"],
    ["an address in full-width digits", "https://１２７.０.０.１/"],
    ["an IPv6 address", "https://[::1]/"],
    ["an IPv4 address mapped into IPv6", "https://[::ffff:127.0.0.1]/"],
    ["an address with a trailing dot", "https://127.0.0.1./"],
    ["localhost", "https://localhost/"],
    ["localhost with a trailing dot", "https://localhost./"],
    ["a name under localhost", "https://hook.localhost/"],
    ["a name of the local network", "https://printer.local/"],
    ["an internal name", "https://metadata.google.internal/"],
    ["a bare name", "https://intranet/"],
    ["an overlong address", `https://example.com/${"a".repeat(2_000)}`],
  ])("%s is refused", (_, text) => {
    expect(() => checkWebhookUrl(text, nothingAllowed)).toThrowError(
      expect.objectContaining({ code: "invalid_value", param: "webhook" }),
    );
  });

  it("is taken over http and on a private address where the operator named the target", () => {
    const allowed = ["127.0.0.1:9000", "receiver.internal:80"];
    expect(checkWebhookUrl("http://127.0.0.1:9000/hook", allowed)).toBe(
      "http://127.0.0.1:9000/hook",
    );
    expect(checkWebhookUrl("http://receiver.internal/", allowed)).toBe("http://receiver.internal/");
    expect(() => checkWebhookUrl("http://127.0.0.1:9001/", allowed)).toThrowError(/https/);
    expect(() => checkWebhookUrl("ftp://127.0.0.1:9000/", allowed)).toThrowError(/https/);
    expect(() => checkWebhookUrl("http://a:b@127.0.0.1:9000/", allowed)).toThrowError(
      /credentials/,
    );
  });
});
