/** POST /v1/responses and what is kept of it: answers, who may see them, how one follows another. */
import { env } from "cloudflare:workers";
import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { limitsOfTenant } from "../../../edge/responses/response-limits.ts";
import { call, errorOf, freshAddress } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";
import { paris, told, used, writing } from "../written.ts";
import { create, created, get, itemsOf, model, path, remove } from "./responses-in-tests.ts";

beforeEach(async () => {
  install(writing([paris]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

const reference = (id = "") => ({ type: "item_reference", id });

/** The conversation that the worker was given last. */
function asked(): { role: string; content: unknown }[] | undefined {
  const inputs: unknown = messages.at(-1)?.inputs;
  return (inputs as { messages: { role: string; content: unknown }[] }[])[0]?.messages;
}

describe("a response", () => {
  it("is OpenAI's object, the same when it is asked for again", async () => {
    const response = await create({
      instructions: "Be brief.",
      max_output_tokens: 16,
      metadata: { trip: "1" },
    });
    const text = await response.text();
    const body = JSON.parse(text);
    expect(body).toEqual({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      object: "response",
      created_at: expect.any(Number),
      background: false,
      error: null,
      model,
      instructions: "Be brief.",
      max_output_tokens: 16,
      metadata: { trip: "1" },
      parallel_tool_calls: true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: true,
      temperature: 1,
      text: { format: { type: "text" } },
      tool_choice: "auto",
      tools: [],
      top_logprobs: 0,
      top_p: 1,
      truncation: "disabled",
      output: [
        {
          id: expect.stringMatching(/^msg_[0-9a-f]{32}_out0$/),
          type: "message",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "In Paris.", annotations: [], logprobs: [] }],
        },
      ],
      status: "completed",
      incomplete_details: null,
      usage: {
        input_tokens: 31,
        input_tokens_details: { cached_tokens: 16, cache_write_tokens: 0 },
        output_tokens: 4,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 35,
      },
    });
    expect(messages.at(-1)?.parameters).toEqual({ max_tokens: 16 });
    expect(asked()).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "What is the capital of France?" },
    ]);
    const again = await call(`${path}/${body.id}`, undefined, { operator: true });
    expect(await again.text()).toBe(text);
    expect(again.headers.get("x-model-digest")).toBe(response.headers.get("x-model-digest"));
  });

  it("says that it is incomplete where its tokens ran out, and tells log probabilities if asked", async () => {
    install(writing([{ ...told, finish_reason: "length" }]));
    const include = ["message.output_text.logprobs"];
    const body = await created({ include, top_logprobs: 2 });
    expect(messages.at(-1)?.parameters).toEqual({ top_logprobs: 2 });
    expect(body).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ status: "incomplete", content: [{ logprobs: { length: 3 } }] }],
    });
  });

  it("says how many of its tokens nothing else could come instead of", async () => {
    install(writing([paris], { ...used, forcedTokens: 3 }));
    const details = { reasoning_tokens: 0, forced_tokens: 3 };
    const { usage } = await created({ text: { format: { type: "json_object" } } });
    expect(usage).toMatchObject({ output_tokens_details: details });
  });

  it("has an id of its own, computed or from the cache", async () => {
    const input = `greedy ${crypto.randomUUID()}`;
    const bodies = [];
    const caches = [];
    for (const _ of [1, 2]) {
      const response = await create({ input, temperature: 0 });
      caches.push(response.headers.get("x-cache"));
      bodies.push(await response.json<{ id: string; output: object[] }>());
    }
    expect(caches).toEqual(["miss", "hit"]);
    expect(new Set(bodies.map(({ id }) => id)).size).toBe(2);
    for (const { id, output } of bodies) expect((await get(id)).body.output).toEqual(output);
  });

  it("is not kept where store is false, nor where the call was refused", async () => {
    const { id } = await created({ store: false });
    expect((await get(id)).status).toBe(404);
    install(() => ({
      code: "context_length_exceeded",
      message: "inputs[0]: 9 and 8",
      param: "inputs[0]",
    }));
    const stub = env.RESPONSES.getByName("operator");
    const count = () =>
      runInDurableObject(stub, (_, { storage: { sql } }) =>
        sql.exec("SELECT count(*) AS n FROM responses").one(),
      );
    const before = await count();
    const error = await errorOf(await create({}));
    expect(error).toMatchObject({ status: 400, param: "input", message: "input: 9 and 8" });
    expect(await count()).toEqual(before);
  });

  it("belongs to its caller, and is gone when it is deleted", async () => {
    const { id } = await created({});
    const stranger = { operator: false, address: freshAddress() };
    expect((await get(id, stranger)).status).toBe(404);
    expect((await remove(id, stranger)).status).toBe(404);
    const cancel = call(`${path}/${id}/cancel`, undefined, { ...stranger, method: "POST" });
    expect((await cancel).status).toBe(404);
    const follow = await create({ previous_response_id: id }, stranger);
    expect(await errorOf(follow)).toMatchObject({ status: 400, param: "previous_response_id" });
    expect(await (await remove(id)).json()).toEqual({ id, object: "response", deleted: true });
    expect((await get(id)).status).toBe(404);
    expect((await remove(id)).status).toBe(404);
    // An address has responses of its own.
    const own = await created({}, stranger);
    expect((await get(own.id, stranger)).body.id).toBe(own.id);
    expect((await get(own.id)).status).toBe(404);
  });
});

describe("a response that follows another", () => {
  it("is given what was said, but for instructions", async () => {
    const first = await created({ input: "one", instructions: "In French." });
    const second = await created({
      input: [{ role: "user", content: [{ type: "input_text", text: "two" }] }],
      previous_response_id: first.id,
    });
    await created({ input: "three", instructions: "New.", previous_response_id: second.id });
    expect(asked()).toEqual([
      { role: "system", content: "New." },
      { role: "user", content: "one" },
      { role: "assistant", content: "In Paris." },
      { role: "user", content: "two" },
      { role: "assistant", content: "In Paris." },
      { role: "user", content: "three" },
    ]);
    const listed = await itemsOf(second.id, "?order=asc");
    expect(listed.data.map(({ role, content }) => [role, content[0]?.text])).toEqual([
      ["user", "one"],
      ["assistant", "In Paris."],
      ["user", "two"],
    ]);
    const page = await itemsOf(second.id, `?limit=1&after=${listed.last_id}`);
    expect(page).toMatchObject({
      data: [{ role: "assistant", id: first.output[0]?.id }],
      has_more: true,
    });
    await remove(first.id);
    const broken = await errorOf(await create({ previous_response_id: second.id }));
    expect(broken).toMatchObject({ status: 400, param: "previous_response_id" });
    expect(broken.message).toContain(`${first.id}, which ${second.id} follows, is no response`);
  });

  it("may name items instead, of any response that is kept", async () => {
    const { id, output } = await created({ input: "one" });
    const given = reference((await itemsOf(id)).data[0]?.id);
    const other = reference((await itemsOf((await created({ input: "two" })).id)).data[0]?.id);
    const input = [given, { id: output[0]?.id }, other, given];
    await created({ input: [...input, { role: "user", content: "three" }] });
    expect(asked()).toEqual([
      { role: "user", content: "one" },
      { role: "assistant", content: "In Paris." },
      { role: "user", content: "two" },
      { role: "user", content: "one" },
      { role: "user", content: "three" },
    ]);
    const unknown = await errorOf(await create({ input: [reference("msg_1")] }));
    expect(unknown).toMatchObject({ status: 400, param: "input[0].id" });
  });

  it("is refused by numbers where it has too many items", async () => {
    const many = Array.from({ length: 2_048 }, () => ({ role: "user", content: "a" }));
    const items = await errorOf(await create({ input: many, instructions: "b" }));
    expect(items).toMatchObject({ code: "context_length_exceeded", param: "input" });
  });
});

describe("a prompt", () => {
  it("says what comes first, and what the request leaves out", async () => {
    const stored = await call(
      "/v1/prompts",
      {
        name: "capital",
        model,
        messages: [{ role: "user", content: "The capital of {{country}}?" }],
        parameters: { temperature: 0, max_tokens: 9 },
      },
      { operator: true },
    );
    const { id } = await stored.json<{ id: string }>();
    const prompt = { id, version: "1", variables: { country: "France" } };
    const body = await created({ model: undefined, input: undefined, prompt });
    expect(body).toMatchObject({ model, prompt, temperature: 0, max_output_tokens: 9 });
    expect(asked()).toEqual([{ role: "user", content: "The capital of France?" }]);
    await created({ input: "Sure?", prompt, previous_response_id: body.id });
    expect(asked()?.map(({ content }) => content)).toEqual([
      "The capital of France?",
      "In Paris.",
      "Sure?",
    ]);
  });
});

describe("what is kept", () => {
  const tenant = "operator";
  const stub = () => env.RESPONSES.getByName(tenant);

  it("is purged after thirty days", async () => {
    const { id } = await created({});
    expect((await get(id)).status).toBe(200);
    const past = Date.now() - 1_000 * limitsOfTenant(tenant).keptSeconds - 1;
    await runInDurableObject(stub(), (_, { storage: { sql } }) => {
      sql.exec("UPDATE responses SET created_at = ? WHERE id = ?", past, id);
    });
    expect((await get(id)).status).toBe(404);
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    const left = await runInDurableObject(stub(), (_, { storage: { sql } }) =>
      sql.exec("SELECT count(*) AS n FROM responses WHERE id = ?", id).one(),
    );
    expect(left).toEqual({ n: 0 });
  });

  it("is bounded: of an address the oldest that are finished go", async () => {
    const address = freshAddress();
    const { responsesMax } = limitsOfTenant(`ip:${address}`);
    const options = { operator: false, address };
    const { id } = await created({}, options);
    expect((await get(id, options)).status).toBe(200);
    const own = () => env.RESPONSES.getByName(`ip:${address}`);
    await runInDurableObject(own(), (_, { storage: { sql } }) => {
      const copy = `INSERT INTO responses (id, tenant, status, from_result, rendering, warnings, bytes, created_at)
        SELECT 'copy ' || ?, tenant, 'open', 0, rendering, warnings, 1, created_at FROM responses LIMIT 1`;
      for (let index = 1; index < responsesMax; index += 1) sql.exec(copy, index);
    });
    await abortAllDurableObjects();
    const next = await created({}, options);
    expect((await get(id, options)).status).toBe(404);
    expect((await get(next.id, options)).status).toBe(200);
    await runInDurableObject(own(), (_, { storage: { sql } }) => {
      sql.exec("UPDATE responses SET status = 'open' WHERE id = ?", next.id);
    });
    expect(await errorOf(await create({}, options))).toMatchObject({
      status: 429,
      message: expect.stringContaining(`${responsesMax} responses are kept`),
    });
  });
});

describe("what is kept of an address, in bytes", () => {
  const address = freshAddress();
  const options = { operator: false, address };
  const { bytesMax } = limitsOfTenant(`ip:${address}`);

  /** As if they took so much, to an object that counts anew. */
  async function weigh(rows: Record<string, { bytes: number; status?: string }>): Promise<void> {
    const own = env.RESPONSES.getByName(`ip:${address}`);
    await runInDurableObject(own, (_, { storage: { sql } }) => {
      const update = "UPDATE responses SET bytes = ?, status = coalesce(?, status) WHERE id = ?";
      for (const [id, { bytes, status = null }] of Object.entries(rows))
        sql.exec(update, bytes, status, id);
    });
    await abortAllDurableObjects();
  }

  const made = async (input: string) => (await created({ input }, options)).id;
  const statusesOf = (ids: string[]) =>
    Promise.all(ids.map(async (id) => (await get(id, options)).status));

  it("is bounded: the oldest that are finished go, the newest and those that are open stay", async () => {
    const ids = [await made("one"), await made("two"), await made("three")];
    const [first = "", second = "", third = ""] = ids;
    await weigh({ [first]: { bytes: 1_000 }, [second]: { bytes: bytesMax - 1_500 } });
    const next = await made("four");
    expect(await statusesOf([...ids, next])).toEqual([404, 404, 200, 200]);
    await weigh({ [third]: { bytes: bytesMax, status: "open" } });
    const last = await made("five");
    expect(await statusesOf([third, next, last])).toEqual([200, 404, 200]);
  });

  it("counts what is given, before there is an answer", async () => {
    const before = await made("six");
    await weigh({ [before]: { bytes: bytesMax - 100_000 } });
    const input = "x".repeat(200_000);
    const { id } = await created({ input, background: true }, options);
    expect(await statusesOf([before, id])).toEqual([404, 200]);
  });
});
