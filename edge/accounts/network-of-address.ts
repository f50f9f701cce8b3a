/**
 * The network that counts as one anonymous caller: an IPv4 address by itself, an IPv6 address by its /64, since that is
 * what one household or host is given. Takes the text of an address as Cloudflare writes it in CF-Connecting-IP. The /48 above,
 * which one site is given, holds 65 536 of them and has limits of its own.
 */
const groupsPerAddress = 8;
const groupsPerNetwork = 4;
const groupsPerSite = 3;

/** @returns "1.2.3.4" or "2001:db8:0:1::/64", the same for every way of writing the address */
export function networkOfAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const network = expand(address)
    .slice(0, groupsPerNetwork)
    .map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** @param network of `networkOfAddress` @returns "2001:db8:0::/48"; null for an IPv4 address */
export function siteOfNetwork(network: string): string | null {
  if (!network.endsWith("::/64")) return null;
  return `${network.split(":").slice(0, groupsPerSite).join(":")}::/48`;
}

/** The eight groups, "::" written out. */
function expand(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const before = head === "" ? [] : head.split(":");
  if (tail === undefined) return before;
  const after = tail === "" ? [] : tail.split(":");
  const missing = Math.max(0, groupsPerAddress - before.length - after.length);
  return [...before, ...Array.from({ length: missing }, () => "0"), ...after];
}
