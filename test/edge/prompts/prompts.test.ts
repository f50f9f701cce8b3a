/** Prompts of a key, from their first version to a conversation that names one. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { promptStorage } from "../../../edge/prompts/stored-prompt.ts";
import type { PromptObject } from "../../../edge/routes/prompt-request.ts";
import { call, errorOf } from "../caller.ts";
import { announce, decoder, install, messages } from "../stand-in-worker.ts";

const path = "/v1/prompts";
const model = decoder.id;
const said = [
  { role: "system", content: "Is the review good or bad?" },
  { role: "user", content: "{{text}}" },
];
const mood = { name: "mood", messages: said };

beforeEach(async () => {
  install();
  await announce([decoder]);
});
afterEach(async () => {
  await runInDurableObject(env.PROMPTS.getByName("operator"), (_, { storage }) => {
    for (const table of ["prompts", "versions", "evaluations"])
      storage.sql.exec(`DELETE FROM ${table}`);
  });
  vi.unstubAllGlobals();
});

const send = (to: string, body: unknown) => call(to, body, { operator: true });
const get = (to: string) => call(to, undefined, { operator: true });
const remove = (to: string) => call(to, undefined, { operator: true, method: "DELETE" });

async function created(body: object = mood): Promise<PromptObject> {
  const response = await send(path, body);
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

const chat = (body: object) => send("/v1/chat/completions", { temperature: 0, ...body });

/** The conversation that a worker was sent, and how it is to be answered. */
async function sent(body: object) {
  const response = await chat(body);
  expect(response.status, await response.clone().text()).toBe(200);
  const { inputs, parameters, model: asked } = messages.at(-1) ?? {};
  const [first] = Array.isArray(inputs) ? inputs : [];
  return { ...(first as { messages: object[] }), parameters, model: asked };
}

describe("a prompt", () => {
  it("is kept under an id that nobody guesses, with its variables told", async () => {
    const prompt = await created();
    expect(prompt.id).toMatch(/^prompt_[0-9a-f]{32}$/);
    expect(prompt).toMatchObject({
      object: "prompt",
      version: 1,
      messages: said,
      variables: { type: "object", properties: { text: { type: "string" } } },
      examples: [],
      model: null,
      parameters: {},
      evaluation: null,
    });
    expect(await (await get(`${path}/${prompt.id}`)).json()).toEqual(prompt);
  });

  it("has versions that never change, and whose numbers are never given twice", async () => {
    const { id } = await created();
    const next = { messages: [{ role: "user", content: "Rate {{text}} {{stars}}" }] };
    const added = await send(`${path}/${id}/versions`, next);
    expect(await added.json()).toMatchObject({ id, name: "mood", version: 2, ...next });
    expect(await (await get(`${path}/${id}`)).json()).toMatchObject({ version: 2 });
    const first = { version: 1, messages: said };
    expect(await (await get(`${path}/${id}/versions/1`)).json()).toMatchObject(first);
    expect(await (await get(`${path}/${id}?version=1`)).json()).toMatchObject(first);
    expect((await remove(`${path}/${id}/versions/2`)).status).toBe(200);
    expect(await (await get(`${path}/${id}`)).json()).toMatchObject(first);
    expect(await errorOf(await remove(`${path}/${id}/versions/1`))).toMatchObject({ status: 400 });
    await send(`${path}/${id}/versions`, next);
    const { data } = await (
      await get(`${path}/${id}/versions`)
    ).json<{ data: { version: number }[] }>();
    expect(data.map(({ version }) => version)).toEqual([3, 1]);
    expect((await remove(`${path}/${id}`)).status).toBe(200);
    expect(await errorOf(await get(`${path}/${id}`))).toMatchObject({ status: 404 });
    expect(await errorOf(await send(`${path}/${id}/versions`, next))).toMatchObject({
      status: 404,
    });
  });

  it("is listed in pages", async () => {
    const ids = [await created(), await created(), await created()].map(({ id }) => id);
    const page = await (await get(`${path}?limit=2`)).json<{ data: { id: string }[] }>();
    expect(page).toMatchObject({ has_more: true, last_id: ids[1] });
    expect(page.data.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    const rest = await (
      await get(`${path}?limit=2&after=${ids[1]}`)
    ).json<{ data: { id: string }[] }>();
    expect(rest).toMatchObject({ has_more: false });
    expect(rest.data.map(({ id }) => id)).toEqual([ids[0]]);
    expect(await errorOf(await get(`${path}?after=nothing`))).toMatchObject({ param: "after" });
  });

  it("is a key's: without one there is none", async () => {
    const { id } = await created();
    for (const to of [path, `${path}/${id}`, `${path}/${id}/versions`, `${path}/${id}/evaluations`])
      expect(await errorOf(await call(to))).toMatchObject({ status: 403 });
    const named = { model, prompt: { id, variables: { text: "x" } } };
    const asked = await call("/v1/chat/completions", named, { address: "192.0.2.77" });
    expect(await errorOf(asked)).toMatchObject({ status: 403 });
    expect(await errorOf(await call(path, mood))).toMatchObject({ status: 403 });
  });

  it.each([
    [{ name: "x" }, "messages"],
    [{ ...mood, name: "" }, "name"],
    [{ ...mood, messages: [] }, "messages"],
    [{ ...mood, messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
    [{ ...mood, messages: [{ role: "user", content: "{{" }] }, "messages[0].content"],
    [{ ...mood, messages: Array.from({ length: 51 }, () => said[0]) }, "messages"],
    [{ ...mood, variables: { type: "object", properties: {} } }, "messages[1].content"],
    [
      {
        ...mood,
        variables: { type: "object", properties: { text: { type: "string", pattern: "(a+)+$" } } },
      },
      "variables.properties.text.pattern",
    ],
    [
      {
        ...mood,
        variables: { type: "object", properties: { text: { type: "integer", default: "x" } } },
      },
      "variables.properties.text.default",
    ],
    [
      { ...mood, examples: [{ variables: { txt: "x" }, output: "y" }] },
      "examples[0].variables.txt",
    ],
    [{ ...mood, parameters: { temperature: 3 } }, "parameters.temperature"],
    [{ ...mood, parameters: { n: 2 } }, "parameters.n"],
    [{ ...mood, paprika: 1 }, "paprika"],
    [{ ...mood, messages: [{ role: "user", content: "x".repeat(300_000) }] }, "messages"],
    ["[]", null],
  ])("that could not be used is refused by name: %#", async (body, param) => {
    expect(await errorOf(await send(path, body))).toMatchObject({ status: 400, param });
  });

  it("is one of as many as a key may have, and of as many bytes", async () => {
    const { id } = await created();
    await runInDurableObject(env.PROMPTS.getByName("operator"), (_, { storage }) => {
      storage.sql.exec("UPDATE versions SET bytes = ?", promptStorage.bytesMax - 10);
    });
    for (const to of [path, `${path}/${id}/versions`]) {
      const full = await errorOf(await send(to, to === path ? mood : { messages: said }));
      expect(full).toMatchObject({ status: 429, code: "insufficient_quota" });
      expect(full.message).toContain(String(promptStorage.bytesMax));
    }
    await runInDurableObject(env.PROMPTS.getByName("operator"), (_, { storage }) => {
      storage.sql.exec("UPDATE versions SET bytes = 10");
      for (let at = 1; at < promptStorage.promptsMax; at += 1)
        storage.sql.exec(
          `INSERT INTO prompts (id, name, last, created_at) VALUES (?, 'x', 1, 0)`,
          `p${at}`,
        );
      for (let at = 2; at <= promptStorage.versionsMax; at += 1)
        storage.sql.exec(
          "INSERT INTO versions (prompt, version, content, bytes, created_at) VALUES (?, ?, '{}', 2, 0)",
          id,
          at,
        );
    });
    const more = await errorOf(await send(path, mood));
    expect(more.message).toContain(`${promptStorage.promptsMax} prompts`);
    const version = await errorOf(await send(`${path}/${id}/versions`, { messages: said }));
    expect(version.message).toContain(`${promptStorage.versionsMax} versions`);
  });
});

describe("a conversation", () => {
  it("that names a prompt begins with it, and what it says itself wins", async () => {
    const examples = [{ variables: { text: "A bore." }, output: "bad" }];
    const parameters = { max_tokens: 5, temperature: 0.25, stop: ["\n"] };
    const { id } = await created({ ...mood, examples, model, parameters });
    const variables = { text: "A {{joy}}." };
    const whole = await sent({ temperature: undefined, prompt: { id, variables } });
    expect(whole).toMatchObject({
      model,
      messages: [
        said[0],
        { role: "user", content: "A bore." },
        { role: "assistant", content: "bad" },
        { role: "user", content: "A {{joy}}." },
      ],
      parameters,
    });
    const own = [{ role: "user", content: "Sure?" }];
    const more = { messages: own, max_completion_tokens: 7, temperature: 0, stop: null };
    const { messages: all, parameters: used } = await sent({
      prompt: { id, version: "1", variables },
      ...more,
    });
    expect(all).toHaveLength(5);
    expect(all.at(-1)).toEqual(own[0]);
    expect(used).toMatchObject({ max_tokens: 7, temperature: 0, stop: ["\n"] });
  });

  it("has the newest version from the moment there is one", async () => {
    const { id } = await created({ ...mood, model });
    const body = { prompt: { id, variables: { text: "x" } } };
    expect((await sent(body)).messages[0]).toEqual(said[0]);
    const next = { model, messages: [{ role: "user", content: "Anew: {{text}}" }] };
    await send(`${path}/${id}/versions`, next);
    expect((await sent(body)).messages[0]).toEqual({ role: "user", content: "Anew: x" });
    const { messages: old } = await sent({ prompt: { ...body.prompt, version: 1 }, seed: 5 });
    expect(old[0]).toEqual(said[0]);
  });

  it.each([
    [{}, "prompt.id"],
    [{ id: 5 }, "prompt.id"],
    [{ id: `prompt_${"0".repeat(32)}` }, "prompt.id"],
    [{ id: "no such" }, "prompt.id"],
    [{ id: "mood" }, "prompt.variables.text"],
    [{ id: "mood", variables: { text: "x", more: 1 } }, "prompt.variables.more"],
    [{ id: "mood", variables: { text: 7 } }, "prompt.variables.text"],
    [{ id: "mood", version: 9, variables: { text: "x" } }, "prompt.version"],
    [{ id: "mood", version: "newest" }, "prompt.version"],
    [{ id: "mood", variables: [1] }, "prompt.variables"],
    ["mood", "prompt"],
  ])("that names none, or leaves something out, is told what: %j", async (named, param) => {
    const { id } = await created();
    const own = typeof named === "object" && "id" in named && named.id === "mood";
    const prompt = own ? { ...named, id } : named;
    expect(await errorOf(await chat({ model, prompt }))).toMatchObject({ param });
  });

  it("is told of what is wrong with its own messages by their own places", async () => {
    const { id } = await created();
    const prompt = { id, variables: { text: "x" } };
    const wrong = await chat({ model, prompt, messages: [{ role: "nobody", content: "" }] });
    expect(await errorOf(wrong)).toMatchObject({ param: "messages[0].role" });
    expect(await errorOf(await chat({ prompt }))).toMatchObject({ param: "model" });
    expect(await errorOf(await chat({ model }))).toMatchObject({ param: "messages" });
  });
});
