/**
 * Which addresses a webhook may name: https on a usual port of a public host name, without credentials. Address
 * literals are refused after URL parsing, which has by then turned decimal, hex and octal forms into dotted ones. What
 * a name resolves to is not checked here: deployed, `global_fetch_strictly_public` keeps fetches off private addresses;
 * on a local stack the guarded egress worker does.
 */
import { CodedError } from "#contract/errors.ts";

const portsAllowed = new Set(["", "443", "8443"]);
const urlCharactersMax = 2_000;

/** Names that never leave a machine or a private network (RFC 6761, 6762, 8375, 9476 and usual practice). */
const privateSuffixes = [
  "localhost",
  "local",
  "internal",
  "intranet",
  "lan",
  "home",
  "corp",
  "home.arpa",
  "localdomain",
  "test",
  "invalid",
  "example",
  "onion",
  "alt",
];

function refuse(message: string): CodedError {
  return new CodedError("invalid_value", `webhook: ${message}`, { param: "webhook" });
}

function isAddressLiteral(host: string): boolean {
  return host.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}

function isPrivateName(host: string): boolean {
  if (!host.includes(".")) return true;
  return privateSuffixes.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

/** @returns `host:port` with the scheme's own port written out */
function targetOf(url: URL): string {
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return `${url.hostname}:${port}`;
}

/**
 * @param allowed `host:port` targets open over http and on private addresses (development, tests)
 * @returns the address in its canonical form, without fragment
 * @throws CodedError `invalid_value` that says what is wrong
 */
export function checkWebhookUrl(text: string, allowed: readonly string[]): string {
  if (text.length > urlCharactersMax)
    throw refuse(`longer than the ${urlCharactersMax} characters allowed`);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw refuse("not an absolute URL such as https://example.com/hook");
  if (url.username !== "" || url.password !== "") throw refuse("holds credentials; remove them");
  url.hash = "";

  const onTheWeb = url.protocol === "https:" || url.protocol === "http:";
  if (onTheWeb && allowed.includes(targetOf(url))) return url.href;

  if (url.protocol !== "https:") throw refuse("only https is allowed");
  if (!portsAllowed.has(url.port)) throw refuse("only ports 443 and 8443 are allowed");
  const host = url.hostname.replace(/\.+$/, "");
  if (isAddressLiteral(host)) throw refuse("name a host, not an address");
  if (isPrivateName(host)) throw refuse("the host is not a public name");
  return url.href;
}
