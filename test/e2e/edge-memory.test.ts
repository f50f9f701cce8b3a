/**
 * What workerd holds while fifty callers send bodies of 8 MiB, and fifty more take results of many megabytes: deployed,
 * an isolate has 128 MB. One process for all tests, so the peak is that of everything together.
 */
import { createHash } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { JobResult } from "../../contract/result-document.ts";
import { EdgeAlone } from "./edge-alone.ts";

const callers = 50;
const residentMaxMB = 300;

let edge: EdgeAlone;

beforeAll(async () => {
  edge = await EdgeAlone.start();
});

afterAll(() => edge.stop());

afterEach(() => {
  const peak = edge.residentPeak();
  console.log(`workerd held ${peak.toFixed(0)} MB at most so far`);
  expect(peak).toBeLessThan(residentMaxMB);
});

const head = {
  model: "all-MiniLM-L6-v2",
  modelDigest: "digest-of-the-test",
  usage: { promptTokens: 1 },
  warnings: [],
};

function result(task: JobResult["task"], outputs: unknown[]): JobResult {
  return { task, ...head, outputs };
}

/** Words of which each is one token at most, so that a body of 8 MiB is within the tokens of a request. */
function largeBody(name: string): string {
  const words = `${"a".repeat(299)} `.repeat(3_300);
  const input = Array.from({ length: 8 }, (_, index) => `${name} ${index} ${words}`);
  return JSON.stringify({ model: head.model, input });
}

type Taken = { status: number; bytes: number; sha256: string };

/** Takes an answer without holding it. */
async function take(response: Response): Promise<Taken> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { status: response.status, bytes, sha256: hash.digest("hex") };
}

function expected(body: unknown): Taken {
  const text = JSON.stringify(body);
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { status: 200, bytes: Buffer.byteLength(text), sha256 };
}

function times<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)));
}

/** The dots of a text of 300 000 tokens, as many as a request may have. */
const tokenized = {
  tokens: Array.from({ length: 300_000 }, (_, index) => 1_000 + (index % 20_000)),
  count: 300_000,
  offsets: Array.from({ length: 300_000 }, (_, index) => [index, index + 1]),
};
const usage = { prompt_tokens: 1, total_tokens: 1 };
/** [384] f32 of 1/3, and as a caller sees them. */
const vector = Buffer.from(new Float32Array(384).fill(1 / 3).buffer).toString("base64");
const embedding = Array.from({ length: 384 }, () => Math.fround(1 / 3));

describe("fifty callers at once", () => {
  it("send 8 MiB each, and all are answered", async () => {
    edge.answer = () => result("tokenize", [{ tokens: [1], count: 1, offsets: [[0, 0]] }]);
    const before = edge.inputBytes;
    const answers = await times(callers, async (index) => {
      const response = await edge.post("/v1/tokenize", largeBody(`caller ${index}`));
      return { status: response.status, body: await response.text() };
    });
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(edge.inputBytes - before).toBeGreaterThan(callers * 7_900_000);
  });

  it("take 7 MB each, of tokens that are shown as the worker wrote them", async () => {
    const reference = edge.keep("tokens", result("tokenize", [tokenized]));
    edge.answer = () => reference;
    const answers = await times(callers, async (index) => {
      const input = [`large ${index}`];
      return take(await edge.post("/v1/tokenize", JSON.stringify({ model: head.model, input })));
    });
    const whole = expected({ object: "list", data: [tokenized], model: head.model });
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify(whole)]),
    );
  });

  it("take 4 MB each, of vectors that are turned to numbers on the way", async () => {
    const outputs = Array.from({ length: 512 }, () => vector);
    const reference = edge.keep("vectors", result("feature-extraction", outputs));
    edge.answer = () => reference;
    const answers = await times(callers, async (index) => {
      const input = Array.from({ length: 512 }, (_, at) => `${index} ${at}`);
      return take(await edge.post("/v1/embeddings", JSON.stringify({ model: head.model, input })));
    });
    const data = outputs.map((_, index) => ({ object: "embedding", index, embedding }));
    const whole = expected({ object: "list", data, model: head.model, usage });
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify(whole)]),
    );
  });

  it("are told of 7 MB by webhooks that carry a link, which streams the sync body", async () => {
    const reference = edge.keep("linked", result("tokenize", [tokenized]));
    edge.answer = () => reference;
    const jobs = 10;
    await times(jobs, async (index) => {
      const body = {
        model: head.model,
        input: [`linked ${index}`],
        webhook: `${edge.outsideUrl}/hook`,
      };
      const headers = { prefer: "respond-async" };
      const accepted = await edge.post("/v1/tokenize", JSON.stringify(body), { headers });
      expect(accepted.status).toBe(202);
    });
    await vi.waitFor(() => expect(edge.hooks).toHaveLength(jobs), { timeout: 60_000 });
    const whole = expected({ object: "list", data: [tokenized], model: head.model });
    const followed = await Promise.all(
      edge.hooks.map(async ({ body }) => {
        const { data } = JSON.parse(body);
        expect(data).toMatchObject({ status: "succeeded", output: null });
        return take(await fetch(data.output_url));
      }),
    );
    for (const taken of followed) expect(taken).toEqual(whole);
  });
});
