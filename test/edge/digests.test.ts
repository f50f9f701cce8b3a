/** Which digests a result may carry: what the edge learns of them, and when it stops to believe them. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobMessage } from "../../contract/job-message.ts";
import type { ModelState } from "../../contract/models.ts";
import { bindingsWith, call, type CallOptions, errorOf } from "./caller.ts";
import { allRounder, announce, install, messages, miniLm, succeed } from "./stand-in-worker.ts";

let texts = 0;

/** A text nobody has asked for yet. */
function freshText(): string {
  texts += 1;
  return `a text for digests ${texts}`;
}

const cacheOf = (response: Response) => response.headers.get("x-cache");

function relate(input: string, parameters: object = {}, options: CallOptions = {}) {
  const body = { model: "all-rounder", inputs: [input], parameters };
  return call("/v1/tasks/relation-extraction", body, { operator: true, ...options });
}

/** An isolate that has just started. */
const freshIsolate = () => bindingsWith({});

/** Answers as models of these digests would. */
function installWorld(own: string, entities: string): void {
  install((message) => {
    const made = succeed(message);
    if (made === "nothing" || "code" in made) return made;
    return { ...made, modelDigest: isBare(message) ? `${own}+${entities}` : own };
  });
}

function isBare({ inputs }: JobMessage): boolean {
  return Array.isArray(inputs) && inputs.some((input) => !String(input).includes("<e1>"));
}

const state = (id: string, digest: string | null, more: Partial<ModelState> = {}): ModelState => ({
  ...allRounder,
  id,
  aliases: [`somebody/${id}`],
  digest,
  ...more,
});

beforeEach(() =>
  runInDurableObject(env.REGISTRY.getByName("registry"), (_, { storage }) => {
    for (const table of ["states", "workers", "carried"]) storage.sql.exec(`DELETE FROM ${table}`);
  }),
);
afterEach(() => vi.unstubAllGlobals());

const embed = (input: string, bindings: typeof env) =>
  call("/v1/embeddings", { model: "own", input }, { operator: true, bindings });

/** A model that answers with a digest nobody has seen. */
async function newModel(): Promise<void> {
  const modelDigest = crypto.randomUUID();
  install((message) => {
    const made = succeed(message);
    return made === "nothing" || "code" in made ? made : { ...made, modelDigest };
  });
  await announce([{ ...miniLm, id: "own", aliases: [], digest: null }]);
}

describe("a model whose digest nobody has announced yet", () => {
  it("is a hit at the second identical call, however soon", async () => {
    await newModel();
    const bindings = freshIsolate();
    const input = freshText();
    expect(cacheOf(await embed(input, bindings))).toBe("miss");
    expect(cacheOf(await embed(input, bindings))).toBe("hit");
    expect(messages).toHaveLength(1);
  });

  it("is one in another isolate too, whatever that one knew", async () => {
    await newModel();
    const [first, second, third] = [freshIsolate(), freshIsolate(), freshIsolate()];
    const input = freshText();
    // It has its own copy of the list, which knows no digest.
    await call("/v1/models", undefined, { bindings: second });
    expect(cacheOf(await embed(input, first))).toBe("miss");
    expect(cacheOf(await embed(input, second))).toBe("hit");
    expect(cacheOf(await embed(input, third))).toBe("hit");
  });

  it("is believed until a worker announces another", async () => {
    await newModel();
    const input = freshText();
    await embed(input, freshIsolate());
    await announce([{ ...miniLm, id: "own", aliases: [], digest: "another" }]);
    expect(cacheOf(await embed(input, freshIsolate()))).toBe("miss");
  });
});

const world = (entities: string) =>
  announce([
    state("all-rounder", "relations", { entityModel: "somebody/entities" }),
    state("entities", entities),
  ]);

describe("a relation between entities that another model finds", () => {
  it("is a hit while both models stay, and none once the other has changed", async () => {
    await world("old");
    installWorld("relations", "old");
    const input = freshText();
    const bindings = freshIsolate();
    expect(cacheOf(await relate(input, {}, { bindings }))).toBe("miss");
    const hit = await relate(input, {}, { bindings });
    expect(cacheOf(hit)).toBe("hit");
    expect(hit.headers.get("x-model-digest")).toBe("relations+old");
    // From KV, by an isolate that has never seen it.
    expect(cacheOf(await relate(input, {}, { bindings: freshIsolate() }))).toBe("hit");
    await world("new");
    installWorld("relations", "new");
    const changed = freshIsolate();
    expect(cacheOf(await relate(input, {}, { bindings: changed }))).toBe("miss");
    const after = await relate(input, {}, { bindings: changed });
    expect(cacheOf(after)).toBe("hit");
    expect(after.headers.get("x-model-digest")).toBe("relations+new");
  });

  it("follows the model that the request names, by any of its names", async () => {
    await announce([state("all-rounder", "relations"), state("entities", "old")]);
    installWorld("relations", "old");
    const input = freshText();
    const parameters = { entity_model: "somebody/entities" };
    await relate(input, parameters, { bindings: freshIsolate() });
    expect(cacheOf(await relate(input, parameters, { bindings: freshIsolate() }))).toBe("hit");
    await announce([state("all-rounder", "relations"), state("entities", "new")]);
    expect(cacheOf(await relate(input, parameters, { bindings: freshIsolate() }))).toBe("miss");
  });

  it("has no part in a text whose parts are marked", async () => {
    await world("old");
    installWorld("relations", "old");
    const input = `<e1>storm</e1> and <e2>flood</e2> ${freshText()}`;
    await relate(input, {}, { bindings: freshIsolate() });
    await world("new");
    const hit = await relate(input, {}, { bindings: freshIsolate() });
    expect([cacheOf(hit), hit.headers.get("x-model-digest")]).toEqual(["hit", "relations"]);
  });
});

describe("what a worker says in too many words", () => {
  it("is cut, and fails nothing: warnings", async () => {
    await announce();
    const warnings = Array.from({ length: 300 }, (_, at) => `${at}: ${"é😀".repeat(500)}`);
    install((message) => {
      const made = succeed(message);
      return made === "nothing" || "code" in made ? made : { ...made, warnings };
    });
    const body = { model: miniLm.id, input: freshText() };
    const response = await call("/v1/embeddings", body, { operator: true });
    expect(response.status).toBe(200);
    const header = response.headers.get("x-warnings") ?? "";
    expect(header).toMatch(/^0: /);
    expect(header.length).toBeLessThanOrEqual(4_096);
  });

  it("is cut, and fails nothing: an error", async () => {
    await announce();
    install(() => ({ code: "invalid_value", message: "m".repeat(9_000), param: "p".repeat(900) }));
    const body = { model: miniLm.id, input: freshText() };
    const error = await errorOf(await call("/v1/embeddings", body, { operator: true }));
    expect(error).toMatchObject({ status: 400, code: "invalid_value" });
    expect(error.message).toHaveLength(4_000);
    expect(error.param).toHaveLength(200);
  });
});

const broken = state("broken", null, {
  status: "failed",
  reason: "The model broken cannot be served: model_type gpt2 is not built",
  loaded: false,
  notServable: true,
});
const ask = () =>
  call(
    "/v1/embeddings",
    { model: "broken", input: freshText() },
    { operator: true, bindings: freshIsolate() },
  );

describe("a model that cannot be served", () => {
  it("is a 400 with the reason at once, and nothing is queued", async () => {
    install();
    await announce([broken]);
    const response = await ask();
    expect(response.headers.get("x-should-retry")).toBeNull();
    expect(await errorOf(response)).toMatchObject({
      status: 400,
      type: "invalid_request_error",
      code: "model_not_servable",
      param: "model",
      message: broken.reason,
    });
    expect(messages).toEqual([]);
  });

  it("is sent to the queue while some worker may serve it", async () => {
    install();
    await announce([broken]);
    await announce([state("broken", "a digest")], "another worker");
    expect((await ask()).status).toBe(200);
    await announce([], "another worker");
    const { notServable: _, ...passing } = broken;
    await announce([passing]);
    expect((await ask()).status).toBe(200);
  });

  it("is sent to the queue when the worker that said so has gone", async () => {
    install();
    await announce([broken]);
    await runInDurableObject(env.REGISTRY.getByName("registry"), (_, { storage }) => {
      storage.sql.exec("UPDATE workers SET seenAtMs = seenAtMs - 16000");
    });
    expect((await ask()).status).toBe(200);
  });
});
