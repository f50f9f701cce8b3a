/**
 * kill −9 of worker, edge and queue server under load: no request lost, none answered wrongly, none charged twice.
 * Callers are on the free tier, with limits out of the way, so that the quota's own books can be compared with the
 * answers.
 */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { cosine } from "./vectors.ts";

const callers = 8;
const requests = 240;
const requestsBetweenKills = 30;
const unitsPerDay = 1_000_000_000;
const seed = Number(process.env["CRASH_SEED"] ?? Date.now() % 1_000_000);

type Answer = { embedding: string; tokens: number; answers: number };

let stack: RunningStack;

beforeAll(async () => {
  stack = await startStack({
    workers: 2,
    env: {
      FREE_REQUESTS_PER_MINUTE: "1000000",
      FREE_UNITS_PER_DAY: String(unitsPerDay),
      FREE_OPEN_REQUESTS: "1000",
    },
  });
});

afterAll(() => stack.stop());

/** Numerical Recipes' linear congruential generator: the order of kills is told by the printed seed. */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function text(i: number): string {
  return `request ${i} of seed ${seed}: ${"word ".repeat(i % 17)}`;
}

async function embed(i: number): Promise<Response> {
  return fetch(`${stack.url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "all-MiniLM-L6-v2", input: text(i), encoding_format: "base64" }),
  });
}

async function healthy(): Promise<void> {
  await vi.waitFor(async () => expect((await fetch(`${stack.url}/healthz`)).status).toBe(200), {
    timeout: 120_000,
    interval: 100,
  });
}

function vectorOf(embedding: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(embedding, "base64")).buffer);
}

/** @returns null where the try was interrupted */
async function tryOnce(i: number): Promise<{ status: number; body: string } | null> {
  try {
    const response = await embed(i);
    const body = await response.text();
    return response.status >= 500 ? null : { status: response.status, body };
  } catch {
    return null;
  }
}

/** Asks again where a try was interrupted, twice at the most, as OpenAI's clients do: two kills may meet a request. */
async function ask(i: number): Promise<Answer> {
  let answer = await tryOnce(i);
  for (let more = 2; answer === null && more > 0; more -= 1) {
    await healthy();
    answer = await tryOnce(i);
  }
  const { status, body } = answer ?? { status: null, body: "interrupted three times" };
  expect({ i, status, body: status === 200 ? "" : body }).toEqual({ i, status: 200, body: "" });
  const parsed = JSON.parse(body);
  return {
    embedding: parsed.data[0].embedding,
    tokens: parsed.usage.total_tokens,
    answers: parsed.data.length,
  };
}

it("loses, doubles and overcharges nothing", async () => {
  console.log(`CRASH_SEED=${seed}`);
  const random = randomFrom(seed);
  const victims = ["worker", "edge", "queue"] as const;
  const answers = new Map<number, Answer>();
  let next = 0;
  let kills = 0;
  const killOne = async () => {
    const victim = victims[kills < victims.length ? kills : Math.floor(random() * victims.length)];
    kills += 1;
    await stack.kill(victim ?? "worker");
  };
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < requests) {
        const i = next;
        next += 1;
        if (i > 0 && i % requestsBetweenKills === 0) await killOne();
        answers.set(i, await ask(i));
      }
    }),
  );
  expect(kills).toBe(requests / requestsBetweenKills - 1);
  expect(answers.size).toBe(requests);
  const charged = [...answers.values()].reduce((sum, { tokens }) => sum + tokens, 0);

  // every answer is its own, and the one a calm stack gives (read from the cache: that costs nothing)
  await healthy();
  const calm: Float32Array[] = [];
  for (let i = 0; i < requests; i += 1) {
    const again = await embed(i);
    expect({ status: again.status, cache: again.headers.get("x-cache") }).toEqual({
      status: 200,
      cache: "hit",
    });
    const body = (await again.json()) as { data: { embedding: string }[] };
    calm.push(vectorOf(body.data[0]?.embedding ?? ""));
  }
  for (const [i, answer] of answers) {
    // what was computed twice may differ in the last bits, by the batch it was in; nothing else is nearer
    const nearness = calm.map((vector) => cosine(vectorOf(answer.embedding), vector));
    expect(nearness[i]).toBeGreaterThan(0.999);
    expect(nearness.indexOf(Math.max(...nearness))).toBe(i);
  }

  await vi.waitFor(
    async () => {
      const { headers } = await embed(0);
      const used = unitsPerDay - Number(headers.get("x-ratelimit-remaining-tokens"));
      expect(used).toBe(charged);
    },
    { timeout: 120_000, interval: 500 },
  );
});
