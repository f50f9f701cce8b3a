/** Names of a key's own for its tuned models: where they lead, for whom, and what keeps them right. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TunedModel } from "../../../contract/training/tuned-model.ts";
import { aliasLimits } from "../../../edge/registry/model-alias.ts";
import type { AliasObject } from "../../../edge/routes/aliases.ts";
import { bindingsWith, call, errorOf } from "../caller.ts";
import { allRounder, announce, install, messages, miniLm } from "../stand-in-worker.ts";
import { isolateBindings } from "../isolate.ts";
import { tunedModel } from "../tuned-model.ts";

const tenant = "operator";
const models = () => env.TUNED_MODELS.getByName(tenant);
let [first, second]: [TunedModel, TunedModel] = [tunedModel(), tunedModel()];

beforeEach(async () => {
  install();
  await announce([miniLm, allRounder]);
  const limits = allRounder.limits ?? undefined;
  const everything = { tasks: [...allRounder.tasks], ...(limits && { limits }) };
  [first, second] = [tunedModel(everything), tunedModel(everything)];
  await models().put(first);
  await models().put(second);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await runInDurableObject(models(), (_, { storage }) => {
    storage.sql.exec("DELETE FROM aliases");
    storage.sql.exec("UPDATE models SET deleted = 1");
  });
  await runDurableObjectAlarm(models());
  vi.unstubAllGlobals();
});

const asOperator = { operator: true } as const;
const point = (body: object) => call("/v1/aliases", body, asOperator);
const ask = (path: string, method = "GET") =>
  call(`/v1/aliases${path}`, undefined, { ...asOperator, method });

async function pointed(body: object): Promise<AliasObject> {
  const response = await point(body);
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

let texts = 0;
const freshText = () => `a text for aliases ${(texts += 1)}`;
const classify = (model: string, text: string, bindings = isolateBindings()) =>
  call("/v1/tasks/text-classification", { model, inputs: [text] }, { ...asOperator, bindings });
const modelOf = async (response: Response) => (await response.json<{ model: string }>()).model;

const rollOut = (share: number) =>
  pointed({ alias: "mood", model: first.name, rollout: { model: second.name, share } });

/** As in another second, in which copies are asked for again. */
function secondLater(): void {
  const now = Date.now();
  vi.spyOn(Date, "now").mockImplementation(() => now + 1_001);
}

describe("an alias", () => {
  it("is shown, listed and deleted, and the models stay", async () => {
    const shown = await pointed({ alias: "mood", model: first.name });
    expect(shown).toMatchObject({
      object: "alias",
      id: "ft:@mood",
      alias: "mood",
      model: first.name,
      rollout: null,
      history: [],
    });
    expect(await (await ask("/mood")).json()).toEqual(shown);
    expect(await (await ask("/ft:@mood")).json()).toEqual(shown);
    expect(await (await ask("")).json()).toEqual({ object: "list", data: [shown] });
    expect(await (await ask("/mood", "DELETE")).json()).toEqual({
      id: "ft:@mood",
      object: "alias",
      deleted: true,
    });
    expect(await errorOf(await ask("/mood"))).toMatchObject({ status: 404, code: "not_found" });
    expect(await errorOf(await ask("/mood", "DELETE"))).toMatchObject({ status: 404 });
    expect(await models().find(first.name)).not.toBeNull();
  });

  it("is called wherever a tuned model is, and the answer names the model", async () => {
    await pointed({ alias: "mood", model: first.name });
    const text = freshText();
    const surfaces: [string, object][] = [
      ["/v1/embeddings", { model: "ft:@mood", input: text }],
      ["/v1/chat/completions", { model: "ft:@mood", messages: [{ role: "user", content: text }] }],
      ["/v1/tasks/text-classification", { model: "ft:@mood", inputs: [text] }],
      ["/v1/tokenize", { model: "ft:@mood", input: text }],
      ["/v1/rerank", { model: "ft:@mood", query: text, documents: ["a"] }],
      ["/hf/models/ft:@mood/pipeline/text-classification", { inputs: freshText() }],
    ];
    for (const [path, body] of surfaces) {
      const response = await call(path, body, asOperator);
      expect(response.status, path).toBe(200);
      await response.body?.cancel();
    }
    expect(messages.map(({ model, tuned }) => [model, tuned?.name])).toEqual(
      surfaces.map(() => [first.name, first.name]),
    );
    expect(await modelOf(await classify("ft:@mood", text))).toBe(first.name);
    const one = await call("/v1/models/ft:@mood", undefined, asOperator);
    expect(await one.json()).toMatchObject({ id: first.name });
  });

  it("shares the model's cached results, and none of them outlives its pointing there", async () => {
    const text = freshText();
    await pointed({ alias: "mood", model: first.name });
    expect((await classify(first.name, text)).headers.get("x-cache")).toBe("miss");
    for (const _ of [1, 2]) {
      const hit = await classify("ft:@mood", text);
      expect([hit.headers.get("x-cache"), await modelOf(hit)]).toEqual(["hit", first.name]);
    }
    await pointed({ alias: "mood", model: second.name });
    const moved = await classify("ft:@mood", text);
    expect([moved.headers.get("x-cache"), await modelOf(moved)]).toEqual(["miss", second.name]);
  });

  it("is followed by other isolates within a second", async () => {
    const elsewhere = bindingsWith({});
    await pointed({ alias: "mood", model: first.name });
    expect(await modelOf(await classify("ft:@mood", freshText(), elsewhere))).toBe(first.name);
    await pointed({ alias: "mood", model: second.name });
    secondLater();
    expect(await modelOf(await classify("ft:@mood", freshText(), elsewhere))).toBe(second.name);
  });

  it("is looked up again at once where the model it led to is gone", async () => {
    const elsewhere = bindingsWith({});
    await pointed({ alias: "mood", model: first.name });
    const now = Date.now();
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now);
    expect((await classify(first.name, freshText(), elsewhere)).status).toBe(200);
    clock.mockImplementation(() => now + 600);
    expect((await classify("ft:@mood", freshText(), elsewhere)).status).toBe(200);
    await pointed({ alias: "mood", model: second.name });
    await models().remove(first.name);
    // The copy of the model is older than a second by now, and that of the alias is not.
    clock.mockImplementation(() => now + 1_100);
    expect(await modelOf(await classify("ft:@mood", freshText(), elsewhere))).toBe(second.name);
  });

  it("is nobody else's, and costs who has no key no call to an object", async () => {
    await pointed({ alias: "mood", model: first.name });
    const asked = vi.spyOn(env.TUNED_MODELS, "getByName");
    const bindings = { ...env, TUNED_MODELS: env.TUNED_MODELS };
    const body = { model: "ft:@mood", input: freshText() };
    const stranger = await call("/v1/embeddings", body, { bindings });
    expect(await errorOf(stranger)).toMatchObject({ status: 404, code: "model_not_found" });
    expect(asked).not.toHaveBeenCalled();
    for (const path of ["", "/mood"]) {
      const response = await call(`/v1/aliases${path}`, undefined, { bindings });
      expect(await errorOf(response)).toMatchObject({
        status: 403,
        code: "insufficient_permissions",
      });
    }
  });
});

describe("what an alias cannot be", () => {
  it.each([
    ["Mood", "alias"],
    ["ft:@mood", "alias"],
    ["", "alias"],
    ["a".repeat(65), "alias"],
  ])("named %j", async (alias, param) => {
    const response = await point({ alias, model: first.name });
    expect(await errorOf(response)).toMatchObject({ status: 400, param });
  });

  it("pointed to another alias, to a model of the platform, or to nothing", async () => {
    await pointed({ alias: "mood", model: first.name });
    const circle = await errorOf(await point({ alias: "mood", model: "ft:@mood" }));
    expect(circle).toMatchObject({ status: 400, code: "invalid_value", param: "model" });
    expect(circle.message).toContain("an alias points to a model");
    const platforms = await point({ alias: "mood", model: miniLm.id });
    expect(await errorOf(platforms)).toMatchObject({ status: 400, param: "model" });
    const others = tunedModel();
    await env.TUNED_MODELS.getByName("somebody else").put(others);
    const strangers = await errorOf(await point({ alias: "mood", model: others.name }));
    expect(strangers).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
    const rollout = { model: others.name, share: 0.5 };
    expect(await errorOf(await point({ alias: "x", model: first.name, rollout }))).toMatchObject({
      status: 404,
      param: "rollout.model",
    });
    expect(await models().findAlias("mood")).toMatchObject({ model: first.name });
  });

  it("rolled out to a model of other tasks, or for no share", async () => {
    const other = tunedModel({ tasks: ["token-classification"] });
    await models().put(other);
    const rollout = { model: other.name, share: 0.5 };
    const response = await point({ alias: "mood", model: first.name, rollout });
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "rollout.model" });
    for (const share of [0, 1, -1, 2]) {
      const none = { model: second.name, share };
      const refused = await point({ alias: "mood", model: first.name, rollout: none });
      expect(await errorOf(refused)).toMatchObject({ status: 400, param: "rollout.share" });
    }
    const all = { model: second.name, share: 1 };
    const { message } = await errorOf(
      await point({ alias: "mood", model: first.name, rollout: all }),
    );
    expect(message).toContain("rollout.share must be less than 1");
    const itself = { model: first.name, share: 0.5 };
    const same = await errorOf(await point({ alias: "mood", model: first.name, rollout: itself }));
    expect(same).toMatchObject({ status: 400, param: "rollout.model" });
  });

  it("one of too many", async () => {
    for (let at = 0; at < aliasLimits.aliasesMax; at += 1)
      await pointed({ alias: `a${at}`, model: first.name });
    const response = await point({ alias: "mood", model: first.name });
    expect(await errorOf(response)).toMatchObject({ status: 429, code: "insufficient_quota" });
    await pointed({ alias: "a0", model: second.name });
  });
});

describe("a rollout", () => {
  it("takes its share of the requests, each time the same ones, and more of them as it grows", async () => {
    const inputs = Array.from({ length: 60 }, freshText);
    const servedBy = async () => {
      const answers = await Promise.all(inputs.map((text) => classify("ft:@mood", text)));
      const names = await Promise.all(answers.map(modelOf));
      return inputs.filter((_, at) => names[at] === second.name);
    };
    await rollOut(0.3);
    const some = await servedBy();
    expect(await servedBy()).toEqual(some);
    expect(some.length).toBeGreaterThan(5);
    expect(some.length).toBeLessThan(35);
    await rollOut(0.7);
    const more = await servedBy();
    expect(more).toEqual(expect.arrayContaining(some));
    expect(more.length).toBeGreaterThan(some.length);
  });
});

it("chooses for a body of any depth, which is then refused as ever", async () => {
  await rollOut(0.5);
  const nested = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  const body = `{"inputs": "a", "parameters": {"x": ${nested}}}`;
  const response = await call("/hf/models/ft:@mood", body, asOperator);
  expect(response.status).toBe(400);
  await response.body?.cancel();
});

describe("a rollback", () => {
  it("ends a rollout, then goes back model by model, and says where there is none", async () => {
    await pointed({ alias: "mood", model: first.name });
    await pointed({
      alias: "mood",
      model: second.name,
      rollout: { model: first.name, share: 0.5 },
    });
    const rollback = () => ask("/mood/rollback", "POST");
    expect(await (await rollback()).json()).toMatchObject({ model: second.name, rollout: null });
    expect(await (await rollback()).json()).toMatchObject({ model: first.name, history: [] });
    expect(await modelOf(await classify("ft:@mood", freshText()))).toBe(first.name);
    expect(await errorOf(await rollback())).toMatchObject({ status: 400, param: "alias" });
    expect(await errorOf(await ask("/other/rollback", "POST"))).toMatchObject({ status: 404 });
  });

  it("passes over models that are gone", async () => {
    const third = tunedModel({ tasks: first.tasks });
    await models().put(third);
    for (const { name } of [first, second, third]) await pointed({ alias: "mood", model: name });
    await models().remove(second.name);
    expect(await (await ask("/mood/rollback", "POST")).json()).toMatchObject({ model: first.name });
  });
});

describe("a model that an alias needs", () => {
  it.each(["model", "rollout"])("is not deleted: its %s", async (kind) => {
    const rollout = { model: second.name, share: 0.5 };
    await pointed({ alias: "mood", model: first.name, rollout });
    const name = kind === "model" ? first.name : second.name;
    const remove = () => call(`/v1/models/${name}`, undefined, { ...asOperator, method: "DELETE" });
    const refused = await errorOf(await remove());
    expect(refused).toMatchObject({ status: 400, code: "invalid_value", param: "model" });
    expect(refused.message).toContain("ft:@mood");
    expect(await models().find(name)).not.toBeNull();
    await ask("/mood", "DELETE");
    expect((await remove()).status).toBe(200);
  });

  it("is not deleted by the alias's name", async () => {
    await pointed({ alias: "mood", model: first.name });
    const options = { ...asOperator, method: "DELETE" };
    const response = await call("/v1/models/ft:@mood", undefined, options);
    expect(await errorOf(response)).toMatchObject({ status: 400, param: "model" });
    expect(await models().find(first.name)).not.toBeNull();
  });
});
