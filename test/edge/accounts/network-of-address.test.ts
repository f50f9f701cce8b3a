/** Addresses by the network that counts as one caller. */
import { expect, it } from "vitest";
import { networkOfAddress } from "../../../edge/accounts/network-of-address.ts";

it.each([
  ["203.0.113.9", "203.0.113.9"],
  ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"],
  ["2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"],
  ["2001:0db8:0000:0001::5", "2001:db8:0:1::/64"],
  ["2001:DB8:0:1::5", "2001:db8:0:1::/64"],
  ["2001:db8::5", "2001:db8:0:0::/64"],
  ["2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::ffff:203.0.113.9", "203.0.113.9"],
])("%s is of %s", (address, network) => {
  expect(networkOfAddress(address)).toBe(network);
});
