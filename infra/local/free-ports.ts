/** Ports of the loopback interface for children to listen on. */
import getPort from "get-port";

export const loopback = "127.0.0.1";

/** @returns `count` different ports that nothing listens on now */
export function freePorts(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, () => freePort(0)));
}

/** @returns `wanted` where nothing listens on it, else another; 0: any */
export function freePort(wanted: number): Promise<number> {
  return getPort({ host: loopback, port: wanted });
}
