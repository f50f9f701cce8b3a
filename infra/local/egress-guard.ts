/**
 * The way out for webhooks on a local stack. workerd itself does not keep a fetch from private addresses here, so what the
 * edge sends through its EGRESS binding comes by this guard, which checks the address that is really connected to.
 * URL rules proper (ports, redirects as failure) are the edge's; this repeats only what protects the machine.
 */
import { lookup, type LookupAddress } from "node:dns";
import { BlockList, isIP, isIPv6, type LookupFunction } from "node:net";
import { Agent, fetch as undiciFetch } from "undici";

/** Not to be reached from outside: IANA's special-purpose registries, RFC 6890 and its updates. */
const privateSubnets: [address: string, prefix: number, family: "ipv4" | "ipv6"][] = [
  ["0.0.0.0", 8, "ipv4"],
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.0.0", 16, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.0.0.0", 24, "ipv4"],
  ["192.0.2.0", 24, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"],
  ["198.51.100.0", 24, "ipv4"],
  ["203.0.113.0", 24, "ipv4"],
  ["224.0.0.0", 4, "ipv4"],
  ["240.0.0.0", 4, "ipv4"],
  ["::", 128, "ipv6"],
  ["::1", 128, "ipv6"],
  ["64:ff9b::", 96, "ipv6"],
  ["100::", 64, "ipv6"],
  ["2001:db8::", 32, "ipv6"],
  ["fc00::", 7, "ipv6"],
  ["fe80::", 10, "ipv6"],
  ["ff00::", 8, "ipv6"],
];

// IPv4 in IPv6 (::ffff:0:0/96) is not in the table: BlockList holds such an address to the rules of its IPv4 form, and with
// a rule of its own every IPv4 address would be blocked.
const blocked = new BlockList();
for (const [address, prefix, family] of privateSubnets) blocked.addSubnet(address, prefix, family);

export function isPrivateAddress(address: string): boolean {
  return blocked.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** What went out and came back, whole; bodies of webhooks are small. */
export type Outgoing = {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: Uint8Array;
};
export type Incoming = { status: number; headers: Record<string, string>; body: Uint8Array };

/** The answer's header that tells what the guard says itself (403 refused, 503 not reached) from what a target answered. */
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
