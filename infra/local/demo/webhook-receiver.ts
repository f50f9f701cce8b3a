/** An endpoint on loopback that keeps what is delivered to it. */
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { loopback } from "../free-ports.ts";

export type Delivery = { headers: Record<string, string>; body: string };

export type WebhookReceiver = {
  /** `host:port`, as LLM_OS_WEBHOOK_ALLOW wants it. */
  target: string;
  url: string;
  /** @throws where nothing has come within `timeoutMs` */
  next: (timeoutMs: number) => Promise<Delivery>;
  close: () => void;
};

export async function openWebhookReceiver(): Promise<WebhookReceiver> {
  const arrived: Delivery[] = [];
  const arrivals = new EventEmitter();
  const server = createServer(async (request, response) => {
    const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
    arrived.push({ headers: Object.fromEntries(headers), body: await text(request) });
    response.writeHead(204).end();
    arrivals.emit("delivery");
  });
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    target: `${loopback}:${port}`,
    url: `http://${loopback}:${port}/hook`,
    next: async (timeoutMs) => {
      if (arrived.length === 0) {
        await once(arrivals, "delivery", { signal: AbortSignal.timeout(timeoutMs) });
      }
      const delivery = arrived.shift();
      if (delivery === undefined) throw new Error("no webhook came");
      return delivery;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
