/** Webhooks of jobs whose output is too large to be sent: a link that anybody who has it may follow, for a day. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type JobResult, resultDocument } from "../../../contract/result-document.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import { limits } from "../../../contract/limits.ts";
import { bindingsWith, call as callPlainly } from "../caller.ts";
import { call, embed, report, resultOf, sent, succeeded } from "../jobs/caller-and-worker.ts";
import { fresh } from "../jobs/jobs-in-tests.ts";
import { putResult } from "../jobs/large-results.ts";
import { openOutsideWorld, type OutsideWorld } from "../jobs/outside-world.ts";

let world: OutsideWorld;

beforeEach(() => {
  world = openOutsideWorld();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Payload = {
  data: { id: string; output: unknown; output_url?: string; usage: object; status: string };
};

/** Runs an asynchronous job beside a waiting call of the same. @returns what the webhook and the caller were told */
async function run(resultFor: (message: JobMessage) => Promise<Partial<JobResult> | "reference">) {
  const text = fresh();
  const more = { webhook: "https://receiver.example.com/hook" };
  const accepted = await embed(text, { headers: { prefer: "respond-async" }, more });
  expect(accepted.status).toBe(202);
  const waiting = embed(text);
  const message = await sent(world);
  const changed = await resultFor(message);
  const result =
    changed === "reference"
      ? await putResult(world, message.id, resultOf(message))
      : resultDocument(resultOf(message, changed));
  await report(message.shard, [{ ...succeeded(message), result }]);
  const hook = await vi.waitFor(() => {
    const [first] = world.hooks;
    if (first === undefined) throw new Error("nothing was delivered");
    return first;
  });
  const payload: Payload = JSON.parse(hook.body);
  return { payload, body: hook.body, sync: await (await waiting).text() };
}

function pathOf(url: string | undefined): string {
  const { origin, pathname, search } = new URL(url ?? "");
  expect(origin).toBe("https://edge.test");
  return pathname + search;
}

/** As somebody who has nothing but the link. */
function follow(path: string, method = "GET"): Promise<Response> {
  return callPlainly(path, undefined, { method });
}

describe("a webhook of a large output", () => {
  it.each(["by reference", "in its row"])("carries a link to the sync body: %s", async (how) => {
    const { payload, sync } = await run(async () =>
      how === "by reference" ? "reference" : { outputs: [btoa("v".repeat(300_000))] },
    );
    expect(payload.data).toMatchObject({
      status: "succeeded",
      output: null,
      usage: { prompt_tokens: 7, total_tokens: 7 },
    });
    const path = pathOf(payload.data.output_url);
    const answer = await follow(path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(answer.headers.get("x-model-digest")).toBe("digest-of-the-test");
    expect(await answer.text()).toBe(sync);
    const head = await follow(path, "HEAD");
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const withSomeKey = await call(path, { method: "GET", headers: { authorization: "Bearer x" } });
    expect(await withSomeKey.text()).toBe(sync);
  });

  it("carries the output itself up to 256 KiB, to the byte", async () => {
    for (const over of [0, 1]) {
      world.hooks.length = 0;
      world.messages.length = 0;
      const { payload, sync } = await run(async (message) => {
        const empty = { ...resultOf(message), outputs: [""] };
        // What the body holds around the one string.
        const around = JSON.stringify({
          object: "list",
          data: [{ object: "embedding", index: 0, embedding: "" }],
          model: empty.model,
          usage: { prompt_tokens: 7, total_tokens: 7 },
        }).length;
        const length = limits.webhookOutputBytesMax - around + over;
        return { outputs: ["A".repeat(length - (length % 4) + 4 * over)] };
      });
      const size = new TextEncoder().encode(sync).byteLength;
      const large = size > limits.webhookOutputBytesMax;
      expect(large).toBe(over === 1);
      expect(payload.data.output === null).toBe(large);
      expect(payload.data.output_url === undefined).toBe(!large);
    }
  });

  it("has a link that is nobody else's, and good for a day", async () => {
    const { payload } = await run(async () => "reference");
    const path = pathOf(payload.data.output_url);
    const other = path.replace(/job_(\d+)_[0-9a-f]{32}/, `job_$1_${"0".repeat(32)}`);
    const longer = path.replace(/expires=\d+/, "expires=99999999999");
    const altered = path.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    const none = path.slice(0, path.indexOf("?"));
    for (const wrong of [other, longer, altered, none, `${none}?expires=1&signature=zz`]) {
      const refused = await follow(wrong);
      expect(refused.status).toBe(403);
      expect(await refused.json()).toMatchObject({
        error: { code: "insufficient_permissions", param: "signature" },
      });
    }
    expect((await follow(path, "POST")).status).toBe(405);
    vi.setSystemTime(Date.now() + 86_401_000);
    const late = await follow(path);
    expect(late.status).toBe(403);
    expect(await late.json()).toMatchObject({ error: { param: "expires" } });
  });

  it("has a link that outlives a change of the callback secret, and 404 once the object is gone", async () => {
    const { payload } = await run(async () => "reference");
    const path = pathOf(payload.data.output_url);
    const rotated = bindingsWith({
      CALLBACK_SECRET: "the next one",
      CALLBACK_SECRET_PREVIOUS: "test-callback-secret",
    });
    const answer = await callPlainly(path, undefined, { method: "GET", bindings: rotated });
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
    world.objects.clear();
    expect((await follow(path)).status).toBe(404);
  });
});
