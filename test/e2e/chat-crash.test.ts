/**
 * kill −9 of the worker under 16 streams of a model that writes: each goes on without a lost or repeated token, in the
 * words that it would have had, and is charged once. Written by SmolLM2 where it is on this machine, else by a decoder
 * of a few kilobytes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { isLarge, model, placeModel } from "./chat-model.ts";

const streams = 16;
const maxTokens = isLarge ? 48 : 28;
const unitsPerDay = 1_000_000_000;

const question = isLarge ? "Tell me a long story about the sea." : "w5 w6 w7";
const messages = [{ role: "user" as const, content: question }];
const models = mkdtempSync(path.join(tmpdir(), "llm-os-chat-crash-"));
let stack: RunningStack;
let client: OpenAI;

beforeAll(async () => {
  await placeModel(models);
  stack = await startStack({
    env: {
      LLM_OS_MODELS: models,
      // Not compared with others first: that takes longer than the test.
      LLM_OS_FORM: "int8",
      FREE_REQUESTS_PER_MINUTE: "1000000",
      FREE_UNITS_PER_DAY: String(unitsPerDay),
      FREE_OPEN_REQUESTS: "1000",
    },
  });
  client = new OpenAI({ apiKey: "anonymous", baseURL: `${stack.url}/v1`, maxRetries: 0 });
  await write(0, () => undefined);
});

afterAll(async () => {
  await stack.stop();
  rmSync(models, { recursive: true });
});

type Written = { text: string; tokens: number };

/** Computed anew each time. @param onPiece is told of each piece of the text */
async function write(seed: number, onPiece: () => void): Promise<Written> {
  const stream = await client.chat.completions.create(
    {
      model,
      messages,
      seed,
      temperature: 0.8,
      max_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
    },
    { headers: { "cache-control": "no-store" } },
  );
  let [text, tokens] = ["", 0];
  for await (const { choices, usage } of stream) {
    const piece = choices[0]?.delta.content ?? "";
    if (piece !== "") onPiece();
    text += piece;
    tokens = usage?.total_tokens ?? tokens;
  }
  return { text, tokens };
}

function writeAll(onPiece: () => void): Promise<Written[]> {
  return Promise.all(Array.from({ length: streams }, (_, seed) => write(seed, onPiece)));
}

/** Units of the day that are used, once all that is open is settled. */
async function used(): Promise<number> {
  const response = await fetch(`${stack.url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "all-MiniLM-L6-v2", input: "how much is used" }),
  });
  await response.text();
  return unitsPerDay - Number(response.headers.get("x-ratelimit-remaining-tokens"));
}

it("goes on where the worker is killed", async () => {
  const unbroken = await writeAll(() => undefined);
  // From here on the same request is answered from the cache, and costs nothing.
  await used();
  const before = await used();
  let pieces = 0;
  const broken = await writeAll(() => {
    pieces += 1;
    if (pieces === 4 * streams) void stack.kill("worker");
  });
  expect(pieces).toBeGreaterThan(4 * streams);
  expect(broken).toEqual(unbroken);
  const charge = broken.reduce((sum, { tokens }) => sum + tokens, 0);
  await vi.waitFor(async () => expect((await used()) - before).toBe(charge));
});
