/** Ports of the loopback interface for children to listen on. */
import { randomInt } from "node:crypto";
import getPort from "get-port";

export const loopback = "127.0.0.1";

/**
 * Below those that systems give to outgoing connections (RFC 6335 has them from 49152, Linux from 32768): a port that
 * is free now stays so until its child listens on it.
 */
const [portMin, portMax] = [20_000, 32_000];
/** Tried before any port at all. */
const tries = 20;

/** @returns `count` different ports that nothing listens on now */
export function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => freePort(0)));
}

/** @returns `wanted` where nothing listens on it, else another; 0: any */
export function freePort(wanted: number): Promise<number> {
  return getPort({ host: loopback, port: wanted === 0 ? randomPorts() : wanted });
}

function randomPorts(): number[] {
  return Array.from({ length: tries }, () => randomInt(portMin, portMax));
}
