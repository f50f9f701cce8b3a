/**
 * The network that counts as one anonymous caller: an IPv4 address by itself, an IPv6 address by its /64, since that is
 * what one household or host is given. Takes the text of an address as Cloudflare writes it in CF-Connecting-IP. The
 * /48 above, which one site is given, holds 65 536 of them and has limits of its own.
 */
import ipaddr from "ipaddr.js";

const groupsPerNetwork = 4;
const groupsPerSite = 3;

/** @returns "1.2.3.4" or "2001:db8:0:1::/64", the same for every way of writing the address; what is none, as it is */
export function networkOfAddress(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  // An IPv4 address in IPv6 (::ffff:1.2.3.4) becomes what it is.
  const parsed = ipaddr.process(address);
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString();
  const groups = parsed.parts.slice(0, groupsPerNetwork).map((group) => group.toString(16));
  return `${groups.join(":")}::/64`;
}

/** @param network of `networkOfAddress` @returns "2001:db8:0::/48"; null for an IPv4 address */
export function siteOfNetwork(network: string): string | null {
  if (!network.endsWith("::/64")) return null;
  return `${network.split(":").slice(0, groupsPerSite).join(":")}::/48`;
}
