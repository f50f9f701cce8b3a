/** Bodies that callers compressed, through the public door. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { call, errorOf } from "../caller.ts";
import { announce, install, messages, miniLm } from "../stand-in-worker.ts";

const bytesMax = Number(env.BODY_BYTES_MAX);

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

async function gzip(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function embed(body: Uint8Array | ReadableStream, encoding = "gzip"): Promise<Response> {
  const headers = { "content-encoding": encoding, "cache-control": "no-store" };
  return call("/v1/embeddings", body, { operator: true, headers });
}

/** A body of so many bytes. */
function bodyOf(bytes: number): string {
  const [start, end] = [`{"model":"${miniLm.id}","input":"a"`, "}"];
  return start + " ".repeat(bytes - start.length - end.length) + end;
}

it.each([60, 64 * 1024, 64 * 1024 + 1, 2_000_000, bytesMax])(
  "a gzip of %i bytes is read as they would be",
  async (bytes) => {
    const packed = await gzip(bodyOf(bytes));
    expect((await embed(packed)).status).toBe(200);
    expect(messages).toMatchObject([{ inputs: ["a"] }]);
  },
);

it("incompressible bytes are read too, announced or not", async () => {
  const random = crypto.getRandomValues(new Uint8Array(60_000));
  const input = [...random].map((byte) => byte.toString(16)).join(" ");
  const packed = await gzip(JSON.stringify({ model: miniLm.id, input }));
  expect(packed.byteLength).toBeGreaterThan(64 * 1024);
  expect((await embed(packed)).status).toBe(200);
  const stream = new ReadableStream({
    type: "bytes",
    start(controller: ReadableByteStreamController) {
      controller.enqueue(packed.slice());
      controller.close();
    },
  });
  expect((await embed(stream)).status).toBe(200);
  expect(messages).toMatchObject([{ inputs: [input] }, { inputs: [input] }]);
});

it("a gzip of more than the limit is refused as a body of that size is", async () => {
  for (const bytes of [bytesMax + 1, 100_000_000]) {
    const packed = await gzip(bodyOf(bytes));
    expect(packed.byteLength).toBeLessThan(200_000);
    const error = await errorOf(await embed(packed));
    expect(error).toMatchObject({ status: 413, code: "request_too_large" });
  }
  expect(messages).toHaveLength(0);
});

it("what is no gzip, or a part of one, is refused by name", async () => {
  const packed = await gzip(bodyOf(100_000));
  const text = new TextEncoder().encode(bodyOf(60));
  for (const broken of [text, packed.slice(0, -9), packed.slice(0, 12)]) {
    const error = await errorOf(await embed(broken));
    expect(error).toMatchObject({ status: 400, code: "invalid_json" });
    expect(error.message).toContain("gzip");
  }
  expect(await errorOf(await embed(new Uint8Array()))).toMatchObject({ code: "invalid_json" });
});

it("other encodings are refused by name, and none at all is none", async () => {
  const text = new TextEncoder().encode(bodyOf(60));
  for (const encoding of ["br", "deflate", "gzip, gzip"]) {
    const error = await errorOf(await embed(text, encoding));
    expect(error).toMatchObject({ status: 415, code: "unsupported_content_encoding" });
    expect(error.message).toContain(encoding);
  }
  expect((await embed(text, "identity")).status).toBe(200);
  expect((await embed(await gzip(bodyOf(60)), " GZIP ")).status).toBe(200);
});
