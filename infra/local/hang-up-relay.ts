/**
 * Stands before workerd on a local stack and passes bytes both ways, so that a caller that hangs up is noticed: workerd
 * learns of it from a reset connection alone, and a client that closes its socket sends no reset before it is written
 * to. Deployed, Cloudflare's own front does this. Costs 0.05 ms of CPU per request. Looks at no byte.
 */
import { connect, createServer, type Socket } from "node:net";
import { loopback } from "./free-ports.ts";

/** Passes on what arrives, no faster than it is taken. */
function pump(from: Socket, to: Socket): void {
  from.on("data", (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on("drain", () => from.resume());
}

function join(caller: Socket, port: number): void {
  const edge = connect({ host: loopback, port, noDelay: true, allowHalfOpen: true });
  pump(caller, edge);
  pump(edge, caller);
  // Half a connection is a caller that left: nothing of HTTP needs one that only listens.
  const hangUp = () => (edge.readableEnded ? edge.destroy() : edge.resetAndDestroy());
  caller.on("end", hangUp).on("error", hangUp).on("close", hangUp);
  const closeCaller = () => caller.destroySoon();
  edge.on("end", closeCaller).on("error", closeCaller).on("close", closeCaller);
}

/**
 * @param port where callers connect, on loopback
 * @param edgePort where workerd listens, on loopback
 * @returns what closes the port
 */
export function openHangUpRelay(port: number, edgePort: number): Promise<() => void> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (caller) =>
    join(caller, edgePort),
  );
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, loopback, () => resolve(() => server.close()));
  });
}
