/** What a call meets before it becomes a job: the cache in its layers, the quota under parallel calls, joining. */
import { resultDocument } from "../../../contract/result-document.ts";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bindingsWith, call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import {
  allReported,
  announce,
  digest,
  install,
  messages,
  miniLm,
  report,
  succeed,
  tokensRead,
  vector,
} from "../stand-in-worker.ts";

const model = "all-MiniLM-L6-v2";
let texts = 0;

/** A text nobody has asked for yet. */
function freshText(): string {
  texts += 1;
  return `text ${texts}`;
}

function embed(input: string, options: CallOptions = {}, more: object = {}): Promise<Response> {
  return call("/v1/embeddings", { model, input, ...more }, { operator: true, ...options });
}

function cacheOf(response: Response): string | null {
  return response.headers.get("x-cache");
}

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

describe("Prefer", () => {
  it.each(["wait=5", "respond-async, wait=5"])("%s is named on answers in time", async (prefer) => {
    const input = freshText();
    const options = { headers: { prefer } };
    for (const cache of ["miss", "hit"]) {
      const response = await embed(input, options);
      expect([response.status, cacheOf(response)]).toEqual([200, cache]);
      expect(response.headers.get("preference-applied")).toBe(prefer);
    }
    const plain = await embed(input);
    expect(plain.headers.has("preference-applied")).toBe(false);
    const refused = await embed("", options);
    expect(refused.headers.has("preference-applied")).toBe(false);
  });
});

describe("the cache", () => {
  it("answers the second call with the first one's bytes, without a job", async () => {
    const input = freshText();
    const first = await embed(input);
    const second = await embed(input);
    expect([cacheOf(first), cacheOf(second)]).toEqual(["miss", "hit"]);
    expect(await second.text()).toBe(await first.text());
    expect(second.headers.get("x-model-digest")).toBe(digest);
    expect(messages).toHaveLength(1);
  });

  it("knows a request in other words: order, spaces, encoding, alias, route", async () => {
    const input = freshText();
    await embed(input);
    const reordered = await call(
      "/v1/embeddings",
      `{ "input": "${input}",  "model": "${model}" }`,
      { operator: true },
    );
    const encoded = await embed(input, {}, { encoding_format: "base64" });
    const aliased = await embed(input, {}, { model: `sentence-transformers/${model}` });
    const otherRoute = await call(`/hf/models/${model}`, { inputs: input }, { operator: true });
    const answers = [reordered, encoded, aliased, otherRoute];
    expect(answers.map(cacheOf)).toEqual(["hit", "hit", "hit", "hit"]);
    const { data } = await encoded.json<{ data: { embedding: unknown }[] }>();
    expect(data[0]?.embedding).toBe(vector.base64);
    expect(await otherRoute.json()).toEqual([vector.numbers]);
    expect(messages).toHaveLength(1);
  });

  it("says of a hit what it said of the first answer", async () => {
    const input = freshText();
    const first = await embed(input, {}, { user: "me" });
    const same = await embed(input, {}, { user: "me" });
    const other = await embed(input);
    expect(first.headers.get("x-warnings")).toContain("user");
    expect(same.headers.get("x-warnings")).toBe(first.headers.get("x-warnings"));
    expect(other.headers.get("x-warnings")).toBeNull();
  });

  it("tells other inputs, parameters and tenants apart", async () => {
    const input = freshText();
    await embed(input);
    const normalised = await call(
      `/hf/models/${model}`,
      { inputs: input, normalize: true },
      { operator: true },
    );
    const stranger = await embed(input, { operator: false, address: freshAddress() });
    const another = await embed(freshText());
    expect([normalised, stranger, another].map(cacheOf)).toEqual(["miss", "miss", "miss"]);
  });

  it("is in KV too: the body is made there from what the worker said", async () => {
    const input = freshText();
    await embed(input);
    await allReported();
    const { keys } = await env.CACHE.list();
    const key = `${messages[0]?.requestKey}:${digest}`;
    expect(keys.map(({ name }) => name)).toContain(key);
    expect(await env.CACHE.get(key)).toContain(`\n${JSON.stringify(vector.base64)}\n`);
  });

  it("serves from KV what another isolate computed", async () => {
    const input = freshText();
    await embed(input);
    const message = messages[0];
    if (message === undefined) throw new Error("nothing was queued");
    // The same result under a digest this isolate has never served: only KV holds it.
    const result = { ...succeedOf(message), modelDigest: "from-elsewhere" };
    await env.CACHE.put(`${message.requestKey}:from-elsewhere`, resultDocument(result));
    const bindings = await changeDigest("from-elsewhere");
    const served = await embed(input, { bindings });
    expect(cacheOf(served)).toBe("hit");
    expect(served.headers.get("x-model-digest")).toBe("from-elsewhere");
  });

  it("forgets when the model's digest changes", async () => {
    const input = freshText();
    await embed(input);
    const bindings = await changeDigest("newer");
    expect(cacheOf(await embed(input, { bindings }))).toBe("miss");
    expect(messages).toHaveLength(2);
  });

  it("is neither read nor filled under no-store", async () => {
    const input = freshText();
    const headers = { "cache-control": "no-cache, no-store" };
    expect(cacheOf(await embed(input, { headers }))).toBe("bypass");
    expect(messages[0]?.requestKey).toBeNull();
    expect(cacheOf(await embed(input))).toBe("miss");
    expect(cacheOf(await embed(input, { headers }))).toBe("bypass");
    expect(messages).toHaveLength(3);
  });

  it("holds no failure", async () => {
    const input = freshText();
    install(() => ({ code: "context_length_exceeded", message: "too long", param: "input" }));
    expect((await embed(input)).status).toBe(400);
    install();
    const response = await embed(input);
    expect([response.status, cacheOf(response)]).toEqual([200, "miss"]);
  });

  it("takes an unreadable value for none", async () => {
    const input = freshText();
    await embed(input);
    const key = messages[0]?.requestKey;
    await env.CACHE.put(`${key}:spoilt`, "{");
    const bindings = await changeDigest("spoilt");
    expect(cacheOf(await embed(input, { bindings }))).toBe("miss");
  });
});

describe("the quota", () => {
  it("admits exactly 20 of 64 parallel calls on a limit of 20", async () => {
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "20", FREE_OPEN_REQUESTS: "64" });
    const address = freshAddress();
    const responses = await Promise.all(
      Array.from({ length: 64 }, () => embed(freshText(), { operator: false, address, bindings })),
    );
    const admitted = responses.filter(({ status }) => status === 200);
    const refused = responses.filter(({ status }) => status === 429);
    expect([admitted.length, refused.length]).toEqual([20, 44]);
    expect(messages).toHaveLength(20);
    for (const response of responses) {
      expect(response.headers.has("retry-after")).toBe(response.status === 429);
      expect(response.headers.get("x-ratelimit-limit-requests")).toBe("20");
      expect(response.headers.get("x-ratelimit-reset-requests")).toMatch(/^(\d+m)?\d+s$|^\d+ms$/);
    }
    const last = refused[0];
    if (last === undefined) throw new Error("none was refused");
    expect(Number(last.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(last.headers.get("x-should-retry")).toBeNull();
    expect(await errorOf(last)).toMatchObject({
      code: "rate_limit_exceeded",
      type: "rate_limit_error",
    });
  });

  it("counts a hit as a request that costs no units", async () => {
    const options = { operator: false, address: freshAddress() };
    const input = freshText();
    await embed(input, options);
    await allReported();
    const hit = await embed(input, options);
    expect(cacheOf(hit)).toBe("hit");
    expect(hit.headers.get("x-ratelimit-remaining-requests")).toBe("58");
    expect(hit.headers.get("x-ratelimit-remaining-tokens")).toBe(String(100_000 - tokensRead));
  });

  it("refuses hits past the minute's requests", async () => {
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "2" });
    const options = { operator: false, address: freshAddress(), bindings };
    const input = freshText();
    const statuses = [];
    for (let at = 0; at < 3; at += 1) statuses.push((await embed(input, options)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it("past the day's units tells clients not to retry", async () => {
    const bindings = bindingsWith({ FREE_UNITS_PER_DAY: "5" });
    const options = { operator: false, address: freshAddress(), bindings };
    const refused = await embed("a text of more than five tokens, by any count", options);
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(refused.headers.has("retry-after")).toBe(false);
    expect(refused.headers.get("x-ratelimit-reset-tokens")).toMatch(/^\d+/);
    expect(await errorOf(refused)).toMatchObject({ status: 429, code: "insufficient_quota" });
    expect(messages).toHaveLength(0);
  });

  it("passes the operator by", async () => {
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "1" });
    for (let at = 0; at < 3; at += 1) {
      const response = await embed(freshText(), { bindings });
      expect(response.status).toBe(200);
      expect(response.headers.get("x-ratelimit-limit-requests")).toBeNull();
    }
  });

  it("sees an IPv6 network as one caller, and another as another", async () => {
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "2" });
    const from = (address: string) => embed(freshText(), { operator: false, address, bindings });
    const statuses = [];
    for (const address of [
      "2001:db8:7:1::1",
      "2001:db8:7:1::2",
      "2001:db8:7:1::3",
      "2001:db8:7:2::1",
    ])
      statuses.push((await from(address)).status);
    expect(statuses).toEqual([200, 200, 429, 200]);
  });
});

describe("the same request at once", () => {
  it("is computed once, answered to all and charged once", async () => {
    const options = { operator: false, address: freshAddress() };
    const input = freshText();
    const responses = await Promise.all(Array.from({ length: 8 }, () => embed(input, options)));
    expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(messages).toHaveLength(1);
    await allReported();
    const after = await embed(input, options);
    expect(after.headers.get("x-ratelimit-remaining-tokens")).toBe(String(100_000 - tokensRead));
  });

  it("is computed apart under no-store", async () => {
    const headers = { "cache-control": "no-store" };
    const input = freshText();
    await Promise.all([embed(input, { headers }), embed(input, { headers })]);
    expect(messages).toHaveLength(2);
  });
});

describe("an asynchronous call", () => {
  it("is answered 202 with its job, which has the synchronous body", async () => {
    install(() => "nothing");
    const headers = { prefer: "respond-async" };
    const input = freshText();
    const accepted = await embed(input, { headers });
    expect(accepted.status).toBe(202);
    const location = accepted.headers.get("location") ?? "";
    await vi.waitFor(() => expect(messages).toHaveLength(1));
    const [message] = messages;
    if (message === undefined) throw new Error("nothing was queued");
    await report(message, succeedOf(message));
    const job = await (
      await call(location, undefined, { operator: true })
    ).json<{ status: string; output: unknown }>();
    expect(job.status).toBe("succeeded");
    expect(job.output).toEqual(await (await embed(input)).json());
  });
});

function succeedOf(message: Parameters<typeof succeed>[0]) {
  const made = succeed(message);
  if (typeof made === "string" || "code" in made) throw new Error("the stand-in did not succeed");
  return made;
}

/** Announces another digest. @returns bindings of an isolate that has not heard of the one before */
async function changeDigest(changed: string): Promise<typeof env> {
  await announce([{ ...miniLm, digest: changed }]);
  return bindingsWith({});
}
