/**
 * Every task of the contract by every route it has, driven by the table of tasks: a request is the task's golden
 * message, so a task that is added is tested here by itself.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { huggingFaceTasks, taskNames, taskTable } from "#contract/task-table.ts";
import { limits } from "../../../contract/limits.ts";
import type { JobResult } from "../../../contract/result-document.ts";
import type { JobMessage } from "../../../contract/job-message.ts";
import type { Task } from "../../../contract/tasks.ts";
import { bindingsWith, call, type CallOptions, errorOf } from "../caller.ts";
import { allRounder, announce, digest, install, messages, tokensRead } from "../stand-in-worker.ts";
import { outputOf, sampleOf, vector } from "../task-samples.ts";

const model = allRounder.id;
const headers = { "cache-control": "no-store" };
const modelTasks = taskNames.filter((task) => task !== "noop");

beforeEach(async () => {
  install();
  await announce([allRounder]);
});
afterEach(() => vi.unstubAllGlobals());

function post(path: string, body: unknown, options: CallOptions = {}): Promise<Response> {
  return call(path, body, { operator: true, headers, ...options });
}

function native(task: Task, changed: object = {}): Promise<Response> {
  const { inputs, parameters } = sampleOf(task);
  return post(`/v1/tasks/${task}`, { model, inputs, parameters, ...changed });
}

/** The body in Hugging Face's form, its parameters where the task has them. */
function huggingFaceBody(task: Task, changed: Record<string, unknown> = {}) {
  const { inputs, parameters } = sampleOf(task);
  const form = taskTable[task].huggingFace;
  const one = inputs.find(
    (input) => form?.input === undefined || form.input.safeParse(input).success,
  );
  const placed = form?.flat === true ? parameters : { parameters };
  return { inputs: one, ...placed, ...changed };
}

function huggingFace(task: Task, body: unknown): Promise<Response> {
  return post(`/hf/models/${model}/pipeline/${task}`, body);
}

/** One that has not copied the list of models yet. */
const freshIsolate = (): CallOptions => ({ bindings: bindingsWith({}) });

type HuggingFaceError = { error: string; error_detail: { code: string; param: string | null } };

/** What each input is answered by, as callers see it. */
function shown(task: Task): unknown {
  if (task === "feature-extraction") return vector.numbers;
  return task === "sentence-similarity" ? expect.any(Array) : outputOf(task);
}

/** Values of which no task takes one for a string. */
const notText = [5, true, null, { text: "a" }, ["a"]];

describe.each(modelTasks)("POST /v1/tasks/%s", (task) => {
  it("takes the golden request and answers each input", async () => {
    const { inputs, parameters } = sampleOf(task);
    const response = await native(task);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: "list",
      data: inputs.map(() => shown(task)),
      model,
      usage: { prompt_tokens: tokensRead, total_tokens: tokensRead },
    });
    expect(messages).toMatchObject([{ task, model, inputs, parameters }]);
  });

  it("refuses an unknown parameter, field and model by name", async () => {
    const { parameters } = sampleOf(task);
    const unknown = { ...parameters, paprika: 1 };
    expect(await errorOf(await native(task, { parameters: unknown }))).toMatchObject({
      status: 400,
      code: "unknown_parameter",
      param: "parameters.paprika",
    });
    expect(await errorOf(await native(task, { paprika: 1 }))).toMatchObject({ param: "paprika" });
    expect(await errorOf(await native(task, { model: "nobody" }))).toMatchObject({
      status: 404,
      code: "model_not_found",
    });
    expect(messages).toHaveLength(0);
  });

  it("refuses parameters of a wrong type by name", async () => {
    const { parameters } = sampleOf(task);
    for (const name of Object.keys(parameters)) {
      const wrong = { ...parameters, [name]: { wrong: true } };
      const error = await errorOf(await native(task, { parameters: wrong }));
      expect(error).toMatchObject({ status: 400, code: "invalid_value" });
      expect(error.param).toContain(`parameters.${name}`);
    }
    for (const wrong of [[], "a", 5]) {
      const error = await errorOf(await native(task, { parameters: wrong }));
      expect(error).toMatchObject({ status: 400, param: "parameters" });
    }
  });

  it("takes null for all that may be left out", async () => {
    const { parameters } = sampleOf(task);
    const schema = taskTable[task].parameters;
    const required = Object.entries(parameters).filter(
      ([name]) => !schema.shape[name]?.safeParse(undefined).success,
    );
    const nulls = Object.keys(schema.shape).map((name) => [name, null]);
    const none = Object.fromEntries([...nulls, ...required]);
    const webhook = { webhook: null, webhook_secret: null };
    expect((await native(task, { parameters: none, ...webhook })).status).toBe(200);
    if (required.length === 0) {
      expect((await native(task, { parameters: null })).status).toBe(200);
    }
    for (const message of messages) {
      expect(message.parameters).toEqual(Object.fromEntries(required));
    }
  });

  it("refuses inputs that are empty, none, too many, or no list", async () => {
    const [input] = sampleOf(task).inputs;
    const tooMany = Array(limits.inputsMax + 1).fill(input);
    for (const inputs of [[], tooMany, null, 5, {}]) {
      const error = await errorOf(await native(task, { inputs }));
      expect(error).toMatchObject({ status: 400, code: "invalid_value", param: "inputs" });
    }
    expect(await errorOf(await native(task, { inputs: undefined }))).toMatchObject({
      code: "missing_required_parameter",
      param: "inputs",
    });
    expect(messages).toHaveLength(0);
  });

  it("refuses each text of an input that is empty or none, and says which", async () => {
    const [input] = sampleOf(task).inputs;
    for (const { wrong, param } of withWrongTexts(input)) {
      const error = await errorOf(await native(task, { inputs: [input, wrong] }));
      expect(error.status, JSON.stringify(wrong)).toBe(400);
      expect(error.param).toMatch(param);
    }
    expect(messages).toHaveLength(0);
  });
});

/** The input with one of its texts, or fields, replaced by what it may not be. */
function withWrongTexts(input: unknown): { wrong: unknown; param: RegExp }[] {
  if (typeof input === "string") {
    const wrongs = [...notText.filter((value) => !Array.isArray(value)), ""];
    return wrongs.map((wrong) => ({ wrong, param: /^inputs\[1\]/ }));
  }
  if (Array.isArray(input) || typeof input !== "object" || input === null) {
    return [-1, 0.5, "a", null].map((wrong) => ({ wrong: [wrong], param: /^inputs\[1\]/ }));
  }
  const fields = Object.entries(input).flatMap(([name, value]) => {
    const wrongs = Array.isArray(value) ? [[""], [], [5], "a"] : [...notText, ""];
    const param = new RegExp(`^inputs\\[1\\]\\.${name}`);
    return wrongs.map((wrong) => ({ wrong: { ...input, [name]: wrong }, param }));
  });
  return [...fields, { wrong: { ...input, paprika: 1 }, param: /^inputs\[1\]\.paprika$/ }];
}

describe.each(huggingFaceTasks)("POST /hf/models/{id}/pipeline/%s", (task) => {
  it("answers one input, and a list of them", async () => {
    const body = huggingFaceBody(task);
    const one = await huggingFace(task, body);
    const several = await huggingFace(task, { ...body, inputs: [body.inputs, body.inputs] });
    expect([one.status, several.status]).toEqual([200, 200]);
    const wrapped = /^(feature-extraction|(text|few-shot)-classification)$/.test(task);
    expect(await one.json()).toEqual(wrapped ? [shown(task)] : shown(task));
    expect(await several.json()).toEqual([shown(task), shown(task)]);
    const { parameters } = sampleOf(task);
    expect(messages).toMatchObject([
      { task, parameters, inputs: [body.inputs] },
      { task, parameters, inputs: [body.inputs, body.inputs] },
    ]);
  });

  it("takes what Hugging Face's older clients send, says so, and refuses it under strict=1", async () => {
    const body = huggingFaceBody(task, { options: { wait_for_model: true, use_cache: false } });
    const response = await huggingFace(task, body);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-warnings")).toContain("options");
    const strict = await post(`/hf/models/${model}/pipeline/${task}?strict=1`, body);
    expect([strict.status, await strict.json()]).toMatchObject([
      400,
      { error_detail: { code: "unsupported_parameter", param: "options" } },
    ]);
  });

  it("refuses what is wrong by name, in Hugging Face's form", async () => {
    const body = huggingFaceBody(task);
    const flat = taskTable[task].huggingFace?.flat === true;
    const unknown = flat
      ? { ...body, paprika: 1 }
      : { ...body, parameters: { ...sampleOf(task).parameters, paprika: 1 } };
    const wrongs: [unknown, RegExp][] = [
      [unknown, flat ? /^paprika$/ : /^parameters\.paprika$/],
      [{ ...body, spice: 1 }, /^spice$/],
      [{ ...body, options: 5 }, /^options$/],
      [{ ...body, options: { paprika: true } }, /^options\.paprika$/],
      [{ ...body, parameters: [] }, /^parameters$/],
      [{ ...body, inputs: undefined }, /^inputs$/],
      [{ ...body, inputs: "" }, /^inputs$/],
      [{ ...body, inputs: [body.inputs, ""] }, /^inputs\[1\]$/],
      [{ ...body, inputs: [] }, /^inputs$/],
      [{ ...body, inputs: Array(limits.inputsMax + 1).fill("a") }, /^inputs$/],
      [{ ...body, inputs: 5 }, /^inputs$/],
      [{ ...body, inputs: null }, /^inputs$/],
      [[], /^null$/],
      [null, /^null$/],
      ["5", /^null$/],
    ];
    for (const [wrong, param] of wrongs) {
      const response = await huggingFace(task, wrong);
      const { error, error_detail: detail } = await response.json<HuggingFaceError>();
      expect(response.status, `${JSON.stringify(wrong)}: ${error}`).toBe(400);
      expect(String(detail.param)).toMatch(param);
    }
    expect(messages).toHaveLength(0);
  });

  it("is found by the body's shape, or as the model's first task", async () => {
    const recognised = taskTable[task].huggingFace?.recognise !== undefined;
    const first = recognised ? allRounder.tasks : [task, ...allRounder.tasks];
    const named = { ...allRounder, id: `first-${task}`, aliases: [], tasks: first };
    await announce([named]);
    const response = await post(`/hf/models/${named.id}`, huggingFaceBody(task), freshIsolate());
    expect(response.status).toBe(200);
    expect(messages).toMatchObject([{ task }]);
    const { inputs } = huggingFaceBody(task);
    const list = huggingFaceBody(task, { inputs: [inputs, inputs] });
    const answer = await post(`/hf/models/${named.id}`, list, freshIsolate());
    expect(answer.status).toBe(200);
    expect(messages).toMatchObject([{ task }, { task, inputs: [inputs, inputs] }]);
  });
});

/** JSON that is well-formed and meant by nobody. */
const hostile = [
  "1e400",
  "-0",
  "9007199254740993",
  '"\\u0000"',
  '"\\ud800"',
  '"\\u202e\\ufeff"',
  '{"__proto__":{"truncate":true}}',
  '{"constructor":{"prototype":1}}',
  '{"toString":1,"valueOf":2}',
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`,
  "[[[[]]]]",
  "[null,true,{}]",
];

describe("a hostile body", () => {
  it.each(modelTasks)("of %s is answered or refused, and breaks nothing", async (task) => {
    const { inputs, parameters } = sampleOf(task);
    const whole = { model, inputs, parameters };
    const parts = [inputs, inputs[0], parameters, ...Object.values(parameters)];
    const bodies = parts.flatMap((part) =>
      hostile.map((value) => JSON.stringify(whole).replace(JSON.stringify(part), () => value)),
    );
    const paths = [`/v1/tasks/${task}`, `/hf/models/${model}/pipeline/${task}`];
    for (const body of [...bodies, ...hostile]) {
      for (const path of [...paths, `/hf/models/${model}`, "/v1/rerank", "/v1/tokenize"]) {
        const response = await post(
          path,
          body.replace(path.startsWith("/hf") ? `"model":"${model}",` : "", ""),
        );
        expect(response.status, body.slice(0, 300)).toBeLessThan(500);
        await response.body?.cancel();
      }
    }
  });
});

describe("a model that does not do the task", () => {
  it.each(modelTasks)("%s says what it does instead", async (task) => {
    const other = task === "fill-mask" ? "text-classification" : "fill-mask";
    await announce([{ ...allRounder, id: `not-${task}`, aliases: [], tasks: [other] }]);
    const { inputs, parameters } = sampleOf(task);
    const body = { model: `not-${task}`, inputs, parameters };
    const response = await post(`/v1/tasks/${task}`, body, freshIsolate());
    if (task === "tokenize" || task === "detokenize") {
      expect(response.status).toBe(200);
      return;
    }
    const error = await errorOf(response);
    expect(error).toMatchObject({ status: 400, param: "model" });
    expect(error.message).toContain(other);
  });
});

describe("a parameter that the worker refuses", () => {
  it("is named by where the caller put it", async () => {
    const error = { code: "invalid_value", message: "targets: none is a word." } as const;
    install(() => ({ ...error, param: "targets" }));
    expect(await errorOf(await native("fill-mask"))).toMatchObject({
      ...error,
      param: "parameters.targets",
    });
    install(() => ({ ...error, param: "prompt_name" }));
    const flat = await huggingFace("feature-extraction", huggingFaceBody("feature-extraction"));
    expect(await flat.json()).toMatchObject({ error_detail: { param: "prompt_name" } });
    install(() => ({ ...error, message: "inputs[0].context is odd.", param: "inputs[0].context" }));
    const single = await huggingFace("question-answering", huggingFaceBody("question-answering"));
    expect(await single.json()).toMatchObject({
      error: "inputs.context is odd.",
      error_detail: { param: "inputs.context" },
    });
  });
});

function succeeded({ task, model: name, inputs }: JobMessage): JobResult {
  return {
    task,
    model: name,
    modelDigest: digest,
    outputs: Array.isArray(inputs) ? inputs.map(() => outputOf(task)) : [],
    usage: { promptTokens: tokensRead },
    warnings: [],
  };
}

describe("how it was computed", () => {
  it("is told with what was cut, in the answer, from the cache, and of the job", async () => {
    install((message) => ({
      ...succeeded(message),
      usage: { promptTokens: 512, truncatedInputs: 1 },
      warnings: ["truncated: 1 of 1 texts were cut to 512 tokens"],
      method: "entailment",
    }));
    const body = { model, inputs: ["how"], parameters: { candidate_labels: ["a", "b"] } };
    const path = "/v1/tasks/zero-shot-classification";
    const first = await call(path, body, { operator: true });
    const hit = await call(path, body, { operator: true });
    expect([first, hit].map((response) => response.headers.get("x-cache"))).toEqual([
      "miss",
      "hit",
    ]);
    for (const response of [first, hit]) {
      expect(response.headers.get("x-method")).toBe("entailment");
      expect(response.headers.get("access-control-expose-headers")).toContain("x-method");
      expect(response.headers.get("x-warnings")).toContain("cut to 512 tokens");
      expect(await response.json()).toMatchObject({ usage: { truncated_inputs: 1 } });
    }
  });

  it("is told of a job that is asked for later", async () => {
    const path = "/v1/tasks/zero-shot-classification";
    const body = { model, ...sampleOf("zero-shot-classification") };
    install((message) => ({ ...succeeded(message), method: "similarity" }));
    const prefer = { ...headers, prefer: "respond-async" };
    const { id } = await (await post(path, body, { headers: prefer })).json<{ id: string }>();
    await vi.waitFor(async () => {
      const job = await call(`/v1/jobs/${id}`, undefined, { operator: true });
      expect(await job.json()).toMatchObject({ status: "succeeded" });
      expect(job.headers.get("x-method")).toBe("similarity");
    });
  });
});
