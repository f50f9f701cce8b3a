/**
 * Signatures of workers' calls: the contract's vectors, the replay window, rotation, and whatever was tampered with.
 */
import { describe, expect, it } from "vitest";
import {
  replayWindowSeconds,
  signatureHeader,
  timestampHeader,
} from "../../../contract/signature.ts";
import golden from "../../../contract/golden/signature.json";
import { readSigned, verifySigned } from "../../../edge/http/signature.ts";

type Vector = (typeof golden.vectors)[number];

function requestOf(vector: Vector, changed: Partial<Vector> = {}): Request {
  const { method, path, timestampSeconds, signature } = { ...vector, ...changed };
  return new Request(`https://edge.test${path}`, {
    method,
    headers: { [timestampHeader]: String(timestampSeconds), [signatureHeader]: signature },
  });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const refused = expect.objectContaining({ code: "invalid_api_key" });
const [first, , , another] = golden.vectors;
if (first === undefined || another === undefined) throw new Error("no vectors");

describe("a signed call", () => {
  it.each(golden.vectors)("is accepted: $name", async (vector) => {
    const { secret, body, timestampSeconds } = vector;
    const verified = verifySigned(requestOf(vector), bytes(body), [secret], timestampSeconds);
    await expect(verified).resolves.toBeUndefined();
  });

  it.each<[string, Partial<Vector>]>([
    ["another body", { body: `${first.body} ` }],
    ["another path", { path: "/internal/shards/4/events" }],
    ["another query", { path: `${first.path}?x=1` }],
    ["another method", { method: "PUT" }],
    ["another timestamp", { timestampSeconds: first.timestampSeconds + 1 }],
    ["another signature", { signature: another.signature }],
    ["no version", { signature: first.signature.slice("v1=".length) }],
    ["upper case", { signature: first.signature.toUpperCase() }],
    ["half a signature", { signature: first.signature.slice(0, 35) }],
    ["an empty signature", { signature: "" }],
  ])("is refused with %s", async (_, changed) => {
    const body = bytes(changed.body ?? first.body);
    const verified = verifySigned(
      requestOf(first, changed),
      body,
      [first.secret],
      first.timestampSeconds,
    );
    await expect(verified).rejects.toEqual(refused);
  });

  it.each([timestampHeader, signatureHeader])("is refused without %s", async (header) => {
    const request = requestOf(first);
    request.headers.delete(header);
    const body = bytes(first.body);
    const verified = verifySigned(request, body, [first.secret], first.timestampSeconds);
    await expect(verified).rejects.toEqual(refused);
  });

  it("is refused outside the replay window, before and after", async () => {
    const at = (seconds: number) =>
      verifySigned(requestOf(first), bytes(first.body), [first.secret], seconds);
    const { timestampSeconds } = first;
    await expect(at(timestampSeconds + replayWindowSeconds)).resolves.toBeUndefined();
    await expect(at(timestampSeconds - replayWindowSeconds)).resolves.toBeUndefined();
    await expect(at(timestampSeconds + replayWindowSeconds + 1)).rejects.toEqual(refused);
    await expect(at(timestampSeconds - replayWindowSeconds - 1)).rejects.toEqual(refused);
  });

  it("is accepted under either of two secrets while they are rotated", async () => {
    const under = (...secrets: string[]) =>
      verifySigned(requestOf(first), bytes(first.body), secrets, first.timestampSeconds);
    await expect(under("the new one", first.secret)).resolves.toBeUndefined();
    await expect(under("the new one")).rejects.toEqual(refused);
    await expect(under()).rejects.toEqual(refused);
  });

  it("is read whole, and refused unread past the limit", async () => {
    const { secret, body, timestampSeconds } = first;
    const headers = requestOf(first).headers;
    const url = `https://edge.test${first.path}`;
    const request = new Request(url, { method: "POST", headers, body });
    expect(await readSigned(request, [secret], timestampSeconds)).toEqual(bytes(body));
    const large = new Request(url, { method: "POST", headers, body: new Uint8Array(17 << 20) });
    await expect(readSigned(large, [secret], timestampSeconds)).rejects.toEqual(
      expect.objectContaining({ code: "request_too_large" }),
    );
  });
});
