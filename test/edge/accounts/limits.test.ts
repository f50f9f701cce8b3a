/**
 * Callers over a limit: the minute's requests, those open at once, the day's units, refusals; one address, and the site
 * of an IPv6 network. Who is known to be over one is turned away before anything is done for it.
 */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../../contract/job-message.ts";
import { bindingsWith, call, type CallOptions, errorOf, freshAddress } from "../caller.ts";
import { announce, install, messages, report, succeed } from "../stand-in-worker.ts";

const model = "all-MiniLM-L6-v2";
let texts = 0;

function embed(options: CallOptions, input?: string): Promise<Response> {
  texts += 1;
  return call("/v1/embeddings", { model, input: input ?? `text of limits ${texts}` }, options);
}

/** Bindings in which calls of the quota objects are counted. */
function counted(changed: Parameters<typeof bindingsWith>[0]) {
  const calls: string[] = [];
  const QUOTA = new Proxy(env.QUOTA, {
    get(target, name) {
      if (name !== "getByName") return Reflect.get(target, name);
      return (id: string) => {
        calls.push(id);
        return target.getByName(id);
      };
    },
  });
  return { calls, bindings: { ...bindingsWith(changed), QUOTA } as typeof env };
}

const statusesOf = (responses: readonly Response[]) => responses.map(({ status }) => status);

async function inTurn(count: number, ask: (at: number) => Promise<Response>): Promise<Response[]> {
  const responses: Response[] = [];
  for (let at = 0; at < count; at += 1) responses.push(await ask(at));
  return responses;
}

function atOnce(count: number, ask: () => Promise<Response>): Promise<Response[]> {
  return Promise.all(Array.from({ length: count }, ask));
}

beforeEach(async () => {
  install();
  await announce();
});
afterEach(() => vi.unstubAllGlobals());

async function end(message: JobMessage | undefined): Promise<void> {
  if (message === undefined) throw new Error("nothing was queued");
  const made = succeed(message);
  if (made !== "nothing") await report(message, made);
}

describe("open requests", () => {
  const prefer = { prefer: "respond-async" };

  it("are eight at most; the ninth is told so, and let through when one has ended", async () => {
    install(() => "nothing");
    const caller = { address: freshAddress(), headers: prefer };
    expect(statusesOf(await inTurn(8, () => embed(caller)))).toEqual(Array(8).fill(202));
    await vi.waitFor(() => expect(messages).toHaveLength(8));
    const ninth = await embed(caller);
    expect(ninth.headers.get("retry-after")).toBe("1");
    expect(ninth.headers.get("x-should-retry")).toBeNull();
    const refused = await errorOf(ninth);
    expect(refused).toMatchObject({ status: 429, code: "rate_limit_exceeded" });
    expect(refused.message).toMatch(/^8 requests are not finished/);
    await end(messages[3]);
    // As another isolate, which knows of no refusal.
    const bindings = bindingsWith({});
    expect((await embed({ ...caller, bindings })).status).toBe(202);
    expect((await embed({ ...caller, bindings })).status).toBe(429);
  });

  it("take one place however often the same is asked", async () => {
    install(() => "nothing");
    const caller = { address: freshAddress(), headers: prefer };
    await inTurn(7, () => embed(caller));
    const same = await inTurn(5, () => embed(caller, "the same text, five times"));
    expect(statusesOf(same)).toEqual(Array(5).fill(202));
    expect((await embed(caller)).status).toBe(429);
  });

  it("of the operator are as many as it likes", async () => {
    install(() => "nothing");
    const responses = await inTurn(12, () => embed({ operator: true, headers: prefer }));
    expect(statusesOf(responses)).toEqual(Array(12).fill(202));
  });
});

describe("a caller known to be over its minute", () => {
  const limited = { FREE_REQUESTS_PER_MINUTE: "2" };

  it("is refused before its body is looked at, at no call of its object", async () => {
    const { bindings, calls } = counted(limited);
    const caller = { address: freshAddress(), bindings };
    await inTurn(3, () => embed(caller));
    const before = calls.length;
    const malformed = await call("/v1/embeddings", "{ this is no JSON", caller);
    expect(malformed.status).toBe(429);
    expect(Number(malformed.headers.get("retry-after"))).toBeGreaterThan(0);
    const large = await call("/v1/embeddings", "x".repeat(20_000_000), caller);
    expect(large.status).toBe(429);
    const hit = await call(`/hf/models/${model}`, { inputs: "text" }, caller);
    expect(await hit.json()).toMatchObject({ error_type: "rate_limit_error" });
    expect(calls).toHaveLength(before);
  });

  it("has what it still sends read to the end", async () => {
    const { bindings } = counted(limited);
    const caller = { address: freshAddress(), bindings };
    await inTurn(3, () => embed(caller));
    let sent = 0;
    const body = new ReadableStream({
      type: "bytes",
      pull(controller) {
        sent += 1;
        if (sent <= 40) controller.enqueue(new Uint8Array(100_000));
        else controller.close();
      },
    });
    expect((await call("/v1/embeddings", body, caller)).status).toBe(429);
    expect(sent).toBeGreaterThan(40);
  });

  it("may still ask what became of its jobs", async () => {
    install(() => "nothing");
    const caller = { address: freshAddress(), bindings: bindingsWith(limited) };
    const accepted = await embed({ ...caller, headers: { prefer: "respond-async" } });
    await inTurn(2, () => embed({ ...caller, headers: { prefer: "respond-async" } }));
    const job = await call(accepted.headers.get("location") ?? "", undefined, caller);
    expect(job.status).toBe(200);
  });
});

describe("a caller whose day is used up to the last unit", () => {
  it("is refused before its body is looked at", async () => {
    const caller = { address: freshAddress(), bindings: bindingsWith({ FREE_UNITS_PER_DAY: "7" }) };
    // The stand-in reads seven tokens of it.
    expect((await embed(caller, "ab")).status).toBe(200);
    const limits = { requestsPerMinute: 1_000, unitsPerDay: 7, openRequests: 8 };
    await vi.waitFor(async () => {
      const { snapshot } = await env.QUOTA.getByName(`ip:${caller.address}`).count(limits);
      expect(snapshot.units.remaining).toBe(0);
    });
    expect((await embed(caller, "cd")).status).toBe(429);
    const refused = await errorOf(await call("/v1/embeddings", "{ this is no JSON", caller));
    expect(refused).toMatchObject({ status: 429, code: "insufficient_quota" });
  });
});

const nowhere = (at: number) => `/v1/nowhere/${at}`;

describe("refusals and polls", () => {
  const limited = { FREE_REFUSALS_PER_MINUTE: "5" };

  it.each<[string, (options: CallOptions) => Promise<Response>, number]>([
    ["an unknown address", (options) => call("/v1/nowhere", {}, options), 404],
    ["a body that is no JSON", (options) => call("/v1/embeddings", "{", options), 400],
    ["a body that is not valid", (options) => call("/rerank", { query: 1 }, options), 400],
    ["an unknown model", (options) => call("/hf/models/none", { inputs: "x" }, options), 404],
    ["a method that is not possible", (options) => call("/v1/embeddings", undefined, options), 405],
    ["the list of models", (options) => call("/v1/models", undefined, options), 200],
    ["a job that is not there", (options) => call("/v1/jobs/none", undefined, options), 404],
    ["a job to cancel", (options) => call("/v1/jobs/none/cancel", {}, options), 404],
    [
      "a wrong key",
      (options) =>
        call("/v1/models", undefined, { ...options, headers: { authorization: "Bearer wrong" } }),
      401,
    ],
  ])("count together against their limit: %s", async (_, ask, status) => {
    const options = { address: freshAddress(), bindings: bindingsWith(limited) };
    expect(statusesOf(await inTurn(5, () => ask(options)))).toEqual(Array(5).fill(status));
    const sixth = await ask(options);
    expect(Number(sixth.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(sixth.status).toBe(429);
    // It holds for all the caller does, and for nobody else.
    expect((await embed(options)).status).toBe(429);
    expect((await embed({ ...options, address: freshAddress() })).status).toBe(200);
  });

  it("of the operator are not counted", async () => {
    const options = { operator: true, bindings: bindingsWith(limited) };
    const responses = await inTurn(8, (at) => call(nowhere(at), {}, options));
    expect(statusesOf(responses)).toEqual(Array(8).fill(404));
  });

  it("do not count what is computed, nor what is refused for being over a limit", async () => {
    const changed = { ...limited, FREE_REQUESTS_PER_MINUTE: "6" };
    const options = { address: freshAddress(), bindings: bindingsWith(changed) };
    await inTurn(20, () => embed(options));
    expect((await call("/v1/models", undefined, options)).status).toBe(200);
  });

  it("call the caller's object for each tenth of the limit, not for each", async () => {
    const { bindings, calls } = counted({ FREE_REFUSALS_PER_MINUTE: "100" });
    const options = { address: freshAddress(), bindings };
    await inTurn(40, (at) => call(nowhere(at), {}, options));
    expect(calls).toHaveLength(4);
  });

  it("are added up over isolates, to the limit and a tenth of it for each", async () => {
    const address = freshAddress();
    const isolates = Array.from({ length: 3 }, () =>
      bindingsWith({ FREE_REFUSALS_PER_MINUTE: "30" }),
    );
    let answered = 0;
    for (let round = 0; round < 30; round += 1) {
      for (const bindings of isolates) {
        const { status } = await call(nowhere(round), {}, { address, bindings });
        if (status === 404) answered += 1;
      }
    }
    expect(answered).toBeGreaterThanOrEqual(30);
    expect(answered).toBeLessThanOrEqual(30 + 3 * 3);
  });
});

describe("an IPv6 site", () => {
  let sites = 0;
  /** Another /64 of the same /48 each time. */
  function openSite() {
    sites += 1;
    let networks = 0;
    const prefix = `2001:db8:${sites.toString(16)}`;
    return {
      name: `${prefix}::/48`,
      address: () => `${prefix}:${(networks += 1).toString(16)}::1`,
    };
  }

  it("has sixteen times the requests of one network, however many networks call", async () => {
    const site = openSite();
    const bindings = bindingsWith({ FREE_REQUESTS_PER_MINUTE: "1" });
    const ask = () => embed({ address: site.address(), bindings });
    expect(statusesOf(await atOnce(16, ask))).toEqual(Array(16).fill(200));
    const last = await ask();
    expect(last.status).toBe(429);
    expect((await errorOf(last)).message).toContain(`Of all callers in ${site.name} together`);
    const elsewhere = { address: openSite().address(), bindings };
    expect((await embed(elsewhere)).status).toBe(200);
  });

  it("has sixteen times the open requests and units", async () => {
    install(() => "nothing");
    const headers = { prefer: "respond-async" };
    const open = openSite();
    const one = bindingsWith({ FREE_OPEN_REQUESTS: "1" });
    const ask = () => embed({ address: open.address(), bindings: one, headers });
    expect(statusesOf(await atOnce(16, ask))).toEqual(Array(16).fill(202));
    expect((await ask()).status).toBe(429);
    const spent = openSite();
    // Three tokens each, by the estimate.
    const few = bindingsWith({ FREE_UNITS_PER_DAY: "3" });
    const spend = () => embed({ address: spent.address(), bindings: few, headers }, "ab");
    expect(statusesOf(await atOnce(16, spend))).toEqual(Array(16).fill(202));
    expect((await spend()).status).toBe(429);
  });

  it("has sixteen times the refusals", async () => {
    const site = openSite();
    const bindings = bindingsWith({ FREE_REFUSALS_PER_MINUTE: "1" });
    const ask = () => call("/v1/nowhere", {}, { address: site.address(), bindings });
    expect(statusesOf(await atOnce(16, ask))).toEqual(Array(16).fill(404));
    expect((await ask()).status).toBe(429);
  });

  it("gets back what a network was refused, and what came to nothing", async () => {
    install(() => ({ code: "context_length_exceeded", message: "too long", param: null }));
    const site = openSite();
    const address = site.address();
    const bindings = bindingsWith({ FREE_UNITS_PER_DAY: "5" });
    const statuses = statusesOf([
      // Refused by the network alone.
      await embed({ address, bindings }, "a text of more than five tokens, by any count"),
      // Let through, and failed.
      await embed({ address, bindings }, "ab"),
    ]);
    expect(statuses).toEqual([429, 400]);
    await vi.waitFor(async () => {
      const limits = { requestsPerMinute: 1_000, unitsPerDay: 80, openRequests: 100 };
      const { snapshot } = await env.QUOTA.getByName(`site:${site.name}`).count(limits);
      expect(snapshot.units.remaining).toBe(80);
    });
  });
});

describe("a request whose result arrives while it is admitted", () => {
  it("is a hit after all, and charged for nothing", async () => {
    const address = freshAddress();
    const text = "a text that is computed meanwhile";
    const accepted = await embed({ address, headers: { prefer: "respond-async" } }, text);
    await vi.waitFor(async () => {
      const job = await call(accepted.headers.get("location") ?? "", undefined, { address });
      expect(await job.json()).toMatchObject({ status: "succeeded" });
    });
    let looked = 0;
    const CACHE = new Proxy(env.CACHE, {
      get(target, name) {
        if (name !== "get") return Reflect.get(target, name);
        // As it was found before the result was stored.
        return (key: string) => ((looked += 1) === 1 ? null : target.get(key, "text"));
      },
    });
    const bindings = { ...bindingsWith({}), CACHE } as typeof env;
    const answer = await embed({ address, bindings }, text);
    expect([answer.status, answer.headers.get("x-cache")]).toEqual([200, "hit"]);
    expect(looked).toBe(2);
    expect(messages).toHaveLength(1);
    const after = await embed({ address, bindings }, text);
    expect(after.headers.get("x-ratelimit-remaining-tokens")).toBe(String(100_000 - 7));
  });
});
