/**
 * The way out for webhooks on a local stack. workerd itself does not keep a fetch from private addresses here, so what
 * the edge sends through its EGRESS binding comes by this guard, which checks the address that is really connected to.
 * URL rules proper (ports, redirects as failure) are the edge's; this repeats only what protects the machine.
 */
import { lookup, type LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { Agent, fetch as undiciFetch } from "undici";

/**
 * Anything but global unicast: private, loopback, documentation and the other special-purpose ranges, tunnels included.
 */
export function isPrivateAddress(address: string): boolean {
  return ipaddr.process(address).range() !== "unicast";
}

/** What went out and came back, whole; bodies of webhooks are small. */
export type Outgoing = {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: Uint8Array;
};
export type Incoming = { status: number; headers: Record<string, string>; body: Uint8Array };

/**
 * The answer's header that tells what the guard says itself (403 refused, 503 not reached) from what a target answered.
 */
export const guardHeader = "llm-os-egress";

const timeoutMs = 15_000;
const answerBytesMax = 64 * 1024;

/** @param allow `host:port` targets that are reached although private, and over http */
export function createEgressGuard(
  allow: ReadonlySet<string>,
): (request: Outgoing) => Promise<Incoming> {
  const guarded = new Agent({ connect: { lookup: publicLookup } });
  const open = new Agent();
  return async (request) => {
    const url = new URL(request.url);
    const allowed = allow.has(hostAndPort(url));
    const reason = allowed ? null : refusalOf(url);
    if (reason !== null) return noAnswer(403, reason);
    try {
      return await send(request, allowed ? open : guarded);
    } catch (error) {
      return noAnswer(503, String(error instanceof Error ? (error.cause ?? error) : error));
    }
  };
}

function hostAndPort(url: URL): string {
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return `${url.hostname}:${port}`;
}

/** The URL parser has already turned decimal, hex and octal forms of an address into its plain form. */
function refusalOf(url: URL): string | null {
  if (url.protocol !== "https:") return `${url.protocol} is not allowed, only https:`;
  if (isIP(url.hostname.replace(/^\[|\]$/g, "")) !== 0) return "an address in place of a host name";
  return null;
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const reachable =
      error === null ? addresses.filter((one) => !isPrivateAddress(one.address)) : [];
    const [first] = reachable;
    if (first === undefined) {
      callback(error ?? new Error(`${hostname} has no public address`), "", 0);
    } else answer(first, reachable, options.all === true, callback);
  });
};

function answer(
  first: LookupAddress,
  reachable: LookupAddress[],
  all: boolean,
  callback: Parameters<LookupFunction>[2],
): void {
  if (all) callback(null, reachable);
  else callback(null, first.address, first.family);
}

async function send(request: Outgoing, dispatcher: Agent): Promise<Incoming> {
  const bodiless = request.method === "GET" || request.method === "HEAD";
  const response = await undiciFetch(request.url, {
    method: request.method,
    headers: request.headers,
    ...(bodiless ? {} : { body: request.body }),
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
    dispatcher,
  });
  return {
    status: response.status,
    headers: { "content-type": response.headers.get("content-type") ?? "text/plain" },
    body: await firstBytes(response.body),
  };
}

/** What a target answers beyond the cap is not read. */
async function firstBytes(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk.subarray(0, answerBytesMax - bytes));
    bytes += chunk.length;
    if (bytes >= answerBytesMax) break;
  }
  return Buffer.concat(chunks);
}

function noAnswer(status: 403 | 503, reason: string): Incoming {
  return {
    status,
    headers: { "content-type": "text/plain", [guardHeader]: "no-answer" },
    body: new TextEncoder().encode(reason),
  };
}
