/** Admission through real HTTP: exact limits, and bad input of every kind answered 4xx in OpenAI's shape. */
import { request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack({ env: { FREE_REQUESTS_PER_MINUTE: "20", FREE_OPEN_REQUESTS: "64" } });
});

afterAll(() => stack.stop());

const model = "all-MiniLM-L6-v2";

type Body = string | Uint8Array<ArrayBuffer>;
type ErrorBody = { error: Record<string, unknown> };

async function send(body: Body, headers: Record<string, string> = {}, path = "/v1/embeddings") {
  return fetch(`${stack.url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${stack.operatorKey}`,
      ...headers,
    },
    body,
  });
}

async function errorOf(response: Response): Promise<ErrorBody> {
  return (await response.json()) as ErrorBody;
}

describe("the free tier", () => {
  it("admits exactly 20 of 64 parallel requests", async () => {
    const responses = await Promise.all(
      Array.from({ length: 64 }, (_, i) =>
        fetch(`${stack.url}/v1/embeddings`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model, input: `parallel ${i}` }),
        }),
      ),
    );
    const statuses = responses.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(20);
    expect(statuses.filter((status) => status === 429)).toHaveLength(44);
    for (const { headers } of responses) {
      expect(headers.get("x-ratelimit-limit-requests")).toBe("20");
      expect(headers.get("x-ratelimit-reset-requests")).toMatch(/^\d+(m\d+)?s$|^\d+ms$/);
    }
    const refused = responses.find(({ status }) => status === 429);
    expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused?.json()).toMatchObject({ error: { code: "rate_limit_exceeded" } });
  });
});

describe("requests too large for the queue", () => {
  const ignore = Array.from({ length: 700 }, (_, at) => `${at}${"é".repeat(987)}`);

  it("are refused, nine of them, and stop nobody behind them", async () => {
    const body = JSON.stringify({
      model,
      inputs: ["x"],
      parameters: { ignore_labels: ignore, aggregation_strategy: "simple" },
    });
    expect(Buffer.byteLength(body)).toBeGreaterThan(1_300_000);
    const refused = await Promise.all(
      Array.from({ length: 9 }, (_, at) =>
        send(
          body.replace('"x"', `"x ${at}"`),
          { prefer: "respond-async", authorization: "Bearer anonymous" },
          "/v1/tasks/token-classification",
        ),
      ),
    );
    // The free tier's minute may be used up by the tests above.
    for (const { status } of refused) expect([400, 429]).toContain(status);
    const { error } = await errorOf(
      await send(body, { prefer: "respond-async" }, "/v1/tasks/token-classification"),
    );
    expect(error).toMatchObject({ code: "invalid_value", param: "parameters.ignore_labels" });
    const served = await Promise.all(
      Array.from({ length: 16 }, (_, at) => send(JSON.stringify({ model, input: `after ${at}` }))),
    );
    expect(served.map(({ status }) => status)).toEqual(Array(16).fill(200));
  });
});

const bad: [name: string, body: Body, param: string | null][] = [
  ["no body", "", null],
  ["no JSON", "{", null],
  ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), null],
  ["an array", "[]", null],
  ["null", "null", null],
  ["no model", JSON.stringify({ input: "x" }), "model"],
  ["no input", JSON.stringify({ model }), "input"],
  ["a number as input", JSON.stringify({ model, input: 3 }), "input"],
  ["an empty text", JSON.stringify({ model, input: "" }), "input"],
  ["an empty list", JSON.stringify({ model, input: [] }), "input"],
  ["an empty text in a list", JSON.stringify({ model, input: ["x", ""] }), "input"],
  ["2 049 inputs", JSON.stringify({ model, input: Array(2049).fill("x") }), "input"],
  ["a text that is too long", JSON.stringify({ model, input: "word ".repeat(2000) }), "input"],
  [
    "a token id outside the vocabulary",
    JSON.stringify({ model, input: [101, 99_999_999] }),
    "input",
  ],
  [
    "a wrong encoding",
    JSON.stringify({ model, input: "x", encoding_format: "hex" }),
    "encoding_format",
  ],
  [
    "dimensions the model cannot give",
    JSON.stringify({ model, input: "x", dimensions: 7 }),
    "dimensions",
  ],
  ["an unknown field", JSON.stringify({ model, input: "x", tempreature: 1 }), "tempreature"],
  ["a model of the wrong type", JSON.stringify({ model: {}, input: "x" }), "model"],
];

describe("bad input", () => {
  it.each(bad)("%s is a 400 that names the field", async (_name, body, param) => {
    const response = await send(body);
    expect(response.status).toBe(400);
    const { error } = await errorOf(response);
    expect(Object.keys(error).toSorted()).toEqual(["code", "message", "param", "type"]);
    if (param !== null) expect(String(error["param"]).split(/[.[]/)[0]).toBe(param);
    expect(String(error["message"]).length).toBeGreaterThan(10);
  });

  it("an unknown model, route, method and key each have their code", async () => {
    const unknownModel = await send(JSON.stringify({ model: "nope", input: "x" }));
    expect([unknownModel.status, (await errorOf(unknownModel)).error["code"]]).toEqual([
      404,
      "model_not_found",
    ]);
    const unknownUrl = await send("{}", {}, "/v1/nothing");
    expect([unknownUrl.status, (await errorOf(unknownUrl)).error["code"]]).toEqual([
      404,
      "unknown_url",
    ]);
    const wrongMethod = await fetch(`${stack.url}/v1/embeddings`);
    expect([wrongMethod.status, (await errorOf(wrongMethod)).error["code"]]).toEqual([
      405,
      "method_not_allowed",
    ]);
    const wrongKey = await send(JSON.stringify({ model, input: "x" }), {
      authorization: "Bearer sk-wrong",
    });
    expect([wrongKey.status, (await errorOf(wrongKey)).error["code"]]).toEqual([
      401,
      "invalid_api_key",
    ]);
  });

  it("a body of 100 MB is a 413, announced or not", async () => {
    const announced = await postMegabytes(100, true);
    expect(announced).toMatchObject({ status: 413 });
    const chunked = await postMegabytes(100, false);
    expect(chunked).toMatchObject({ status: 413 });
    expect((await send(JSON.stringify({ model, input: "still alive" }))).status).toBe(200);
  });
});

/** Streams `megabytes` of spaces; stops writing when the server has answered. */
async function postMegabytes(megabytes: number, announce: boolean) {
  const chunk = Buffer.alloc(1_000_000, " ");
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const outgoing = httpRequest(`${stack.url}/v1/embeddings`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${stack.operatorKey}`,
        ...(announce ? { "content-length": megabytes * chunk.length } : {}),
      },
    });
    let answered = false;
    outgoing.on("response", async (response) => {
      answered = true;
      resolve({ status: response.statusCode, body: await text(response) });
      outgoing.destroy();
    });
    outgoing.on("error", (error) => {
      if (!answered) reject(error);
    });
    let sent = 0;
    const write = () => {
      if (answered || outgoing.destroyed) return;
      if (sent === megabytes) {
        outgoing.end();
        return;
      }
      sent += 1;
      outgoing.write(chunk, write);
    };
    write();
  });
}
