/** What a client of one's own may do that none of the others does. */
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { model, post, type Running } from "./truth.ts";

export function describePlainHttp(running: Running): void {
  describe("any HTTP client", () => {
    it("may send gzip, large and small", async () => {
      for (const input of ["hello", Array(2_048).fill("hello there")]) {
        const packed = gzipSync(JSON.stringify({ model, input }));
        const headers = { "content-encoding": "gzip" };
        const response = await post(running(), "/v1/embeddings", {
          body: new Uint8Array(packed),
          headers,
        });
        expect(response.status).toBe(200);
        expect(await response.json()).toMatchObject({ data: { length: [input].flat().length } });
      }
    });

    it("is told how to have a text cut that is too long, by the name it gave the text, and may", async () => {
      const input = "hello ".repeat(600);
      const refused = await post(running(), "/v1/embeddings", {
        body: JSON.stringify({ model, input }),
      });
      expect([refused.status, await refused.json()]).toMatchObject([
        400,
        {
          error: {
            code: "context_length_exceeded",
            param: "input",
            message: expect.stringMatching(/^input has 602 tokens.*truncate/),
          },
        },
      ]);
      const cut = await post(running(), "/v1/embeddings", {
        body: JSON.stringify({ model, input, truncate: true }),
      });
      expect([cut.status, await cut.json()]).toMatchObject([
        200,
        { usage: { truncated_inputs: 1 } },
      ]);
    });
  });
}
