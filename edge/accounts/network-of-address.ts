/**
 * The network that counts as one anonymous caller: an IPv4 address by itself, an IPv6 address by its /64, since that is
 * what one household or host is given. Takes the text of an address as Cloudflare writes it in CF-Connecting-IP.
 */
const groupsPerAddress = 8;
const groupsPerNetwork = 4;

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

/** The eight groups, "::" written out. */
function expand(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const before = head === "" ? [] : head.split(":");
  if (tail === undefined) return before;
  const after = tail === "" ? [] : tail.split(":");
  const missing = Math.max(0, groupsPerAddress - before.length - after.length);
  return [...before, ...Array.from({ length: missing }, () => "0"), ...after];
}
