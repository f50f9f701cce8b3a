/** The relay before workerd: bytes pass unchanged, and a caller that closes is a reset on the other side. */
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, expect, it } from "vitest";
import { freePorts, loopback } from "../../../infra/local/free-ports.ts";
import { openHangUpRelay } from "../../../infra/local/hang-up-relay.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** @returns the port to connect to in order to reach `server` */
async function before(server: Server): Promise<number> {
  const [port, inner] = await freePorts(2);
  if (port === undefined || inner === undefined) throw new Error("no ports");
  await new Promise<void>((resolve) => server.listen(inner, loopback, resolve));
  closers.push(await openHangUpRelay(port, inner), () => server.close());
  return port;
}

it("passes a large body there and back unchanged", async () => {
  const port = await before(
    createHttpServer((incoming, outgoing) => {
      incoming.pipe(outgoing);
    }),
  );
  const body = Buffer.from(crypto.getRandomValues(new Uint8Array(65_536))).toString("hex");
  const sent = body.repeat(40);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const call = request({ host: loopback, port, method: "POST" }, (response) => {
      resolve(buffer(response));
    });
    call.on("error", reject);
    call.end(sent);
  });
  expect(answer.toString()).toBe(sent);
});

it("turns a caller's close into a reset, while an answer is awaited", async () => {
  const met = Promise.withResolvers<Socket>();
  const port = await before(createServer({ allowHalfOpen: true }, met.resolve));
  const caller = connect({ host: loopback, port });
  caller.write("a request");
  const socket = await met.promise;
  const end = new Promise<string>((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    socket.on("end", () => resolve("ended in order"));
    socket.resume();
  });
  caller.destroy();
  expect(await end).toBe("ECONNRESET");
});

it("closes the caller's side when the other ends, after the last byte", async () => {
  const port = await before(
    createServer((socket) => {
      socket.end("last words");
    }),
  );
  const caller = connect({ host: loopback, port });
  expect((await buffer(caller)).toString()).toBe("last words");
});

it("closes the caller's side where nothing listens behind it", async () => {
  const [port, inner] = await freePorts(2);
  closers.push(await openHangUpRelay(port ?? 0, inner ?? 0));
  const caller = connect({ host: loopback, port: port ?? 0 });
  expect((await buffer(caller)).byteLength).toBe(0);
});
