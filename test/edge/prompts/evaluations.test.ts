/** Evaluations of prompts: what they cost before they begin, their jobs, and the versions that optimisations store. */
import { env } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PromptReport } from "../../../contract/prompts/prompt-report.ts";
import { type TaskInput, tasks } from "../../../contract/tasks.ts";
import { promptLimits } from "../../../contract/prompts/prompt.ts";
import { promptStorage } from "../../../edge/prompts/stored-prompt.ts";
import { formatFileId, keyOfFile } from "../../../edge/files/stored-file.ts";
import type { PromptObject } from "../../../edge/routes/prompt-request.ts";
import { call, errorOf, freshAddress } from "../caller.ts";
import { openOutsideWorld } from "../jobs/outside-world.ts";
import {
  allReported,
  announce,
  type Answer,
  decoder,
  install,
  messages,
  saying,
} from "../stand-in-worker.ts";

const path = "/v1/prompts";
const prompts = () => env.PROMPTS.getByName("operator");
const mood = {
  name: "mood",
  model: decoder.id,
  messages: [
    { role: "system", content: "Judge." },
    { role: "user", content: "{{text}}" },
  ],
  parameters: { max_tokens: 300, top_p: 0.5 },
};
const labels = ["good", "bad"];
const examples = Array.from({ length: 50 }, (_, at) => ({
  variables: { text: `Review ${at}.` },
  output: labels[at % 2] ?? "",
}));
const [plain] = [tasks["prompt-evaluation"].example.output];

/** What a worker says of an optimisation. @param sentence of the wording that won */
function optimised(sentence: string, better: boolean): PromptReport {
  const accuracy = { value: 0.9, low: 0.7, high: 0.97, level: 0.95 };
  const winner = { wording: "form told", shots: 0, examples: 12, right: 11 };
  const { messages: said, ...rest } = {
    messages: [
      { role: "system" as const, content: sentence },
      { role: "user" as const, content: "{{text}}" },
    ],
    variables: { type: "object" as const, properties: { text: { type: "string" as const } } },
    examples: [],
  };
  return {
    ...plain,
    optimisation: {
      shots_from: 6,
      judged_on: 12,
      held_out: 12,
      split_seed: 0,
      candidates: [{ ...winner, wording: "as written", right: 6 }, winner],
      baseline: { ...accuracy, value: 0.5 },
      winner: { ...winner, accuracy },
      difference: { value: 0.4, low: better ? 0.1 : -0.1, high: 0.6, level: 0.95, draws: 1_000 },
      better,
      prompt: { messages: said, ...rest },
    },
  };
}

const answering = (report: PromptReport) =>
  saying(report, { promptTokens: 40, completionTokens: 2 });

beforeEach(async () => {
  install(answering(plain));
  await announce([decoder]);
});
afterEach(async () => {
  await allReported();
  await runInDurableObject(prompts(), (_, { storage }) => {
    for (const table of ["prompts", "versions", "evaluations"])
      storage.sql.exec(`DELETE FROM ${table}`);
  });
  vi.unstubAllGlobals();
});

const send = (to: string, body: unknown) => call(to, body, { operator: true });
const get = (to: string) => call(to, undefined, { operator: true });

async function created(more: object = {}): Promise<string> {
  const response = await send(path, { ...mood, ...more });
  const { id }: PromptObject = await response.json();
  return id;
}

const evaluate = (id: string, body: object) =>
  send(`${path}/${id}/evaluate`, { examples, labels, ...body });

type Job = { id: string; status: string; output: PromptReport | null; task: string };

/** Of an evaluation that was accepted, once its worker has answered. */
async function jobOf(response: Response): Promise<Job> {
  expect(response.status, await response.clone().text()).toBe(202);
  const { id } = await response.json<Job>();
  expect(response.headers.get("location")).toBe(`/v1/jobs/${id}`);
  await allReported();
  return (await get(`/v1/jobs/${id}`)).json();
}

const longest = { variables: { text: "x y ".repeat(2_000) }, output: "good" };

describe("an evaluation", () => {
  it("is a job, whose output is the report", async () => {
    const id = await created();
    const job = await jobOf(await evaluate(id, {}));
    expect(job).toMatchObject({ status: "succeeded", task: "prompt-evaluation", output: plain });
    const [message] = messages;
    expect(message).toMatchObject({
      task: "prompt-evaluation",
      model: decoder.id,
      // A label is short, whatever the prompt's own answers are, and nothing is left to chance.
      parameters: { max_tokens: 16, temperature: 0, top_p: 0.5, constrain: true, optimise: false },
    });
    const [input] = (message?.inputs ?? []) as TaskInput<"prompt-evaluation">[];
    expect(input).toMatchObject({ prompt: { messages: mood.messages }, examples, labels });
  });

  it("of texts has the prompt's own settings, and a webhook like any job", async () => {
    const id = await created();
    const webhook = "http://receiver.test/hook";
    const refused = await errorOf(await evaluate(id, { labels: undefined, webhook }));
    expect(refused).toMatchObject({ status: 400, param: "webhook" });
    await jobOf(await evaluate(id, { labels: undefined, parameters: { top_p: 1 } }));
    expect(messages).toMatchObject([
      { parameters: { max_tokens: 300, top_p: 1, constrain: false } },
    ]);
  });

  it("says first what it would cost, of which nothing is done", async () => {
    const id = await created();
    const short = await (await evaluate(id, { dry_run: true })).json<{ units: number }>();
    expect(short).toMatchObject({
      object: "prompt.quote",
      prompt: id,
      version: 1,
      model: decoder.id,
      calls: 50,
    });
    // 50 labels, and what they are answers to.
    expect(short.units).toBeGreaterThan(50 * 20);
    const long = await evaluate(id, { dry_run: true, optimise: true });
    const quoted = await long.json<{ calls: number; units: number }>();
    expect(quoted.calls).toBeGreaterThan(100);
    expect(quoted.units).toBeGreaterThan(4 * short.units);
    expect(messages).toEqual([]);
  });

  it("reserves what it was told to cost, and is refused where a day has not as much", async () => {
    const address = freshAddress();
    const long = { variables: { text: "x".repeat(6_000) }, output: "x" };
    const body = { examples: Array.from({ length: 60 }, () => long) };
    const to = `${path}/summarize/evaluate`;
    const quoted = await call(to, { ...body, dry_run: true }, { address });
    const { units } = await quoted.json<{ units: number }>();
    expect(quoted.headers.get("x-ratelimit-remaining-tokens")).toBe("100000");
    expect(units).toBeGreaterThan(100_000);
    expect(await errorOf(await call(to, body, { address }))).toMatchObject({
      code: "insufficient_quota",
    });
    const few = { examples: examples.slice(0, 2).map((each) => ({ ...each, output: "x" })) };
    const accepted = await call(to, few, { address });
    expect(accepted.status).toBe(202);
    expect(Number(accepted.headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(100_000);
  });

  it.each([
    [{ examples: [] }, "examples"],
    [{ examples: undefined }, "examples"],
    [{ examples: Array.from({ length: 501 }, () => examples[0]) }, "examples"],
    [{ examples: [{ variables: {}, output: "good" }] }, "examples[0].variables.text"],
    [{ examples: [{ variables: { text: 5 }, output: "good" }] }, "examples[0].variables.text"],
    [{ examples: [{ variables: { text: "x" }, output: "fine" }] }, "examples[0].output"],
    [{ labels: ["good"] }, "labels"],
    [{ labels: ["good", "bad", "good"] }, "labels"],
    [{ labels: undefined, constrain: true }, "constrain"],
    [{ variants: [{ name: "x", messages: mood.messages }] }, "variants"],
    [
      { optimise: true, variants: [{ name: "x", messages: [{ role: "user", content: "{{b}}" }] }] },
      "variants[0].messages[0].content",
    ],
    [{ optimise: true, examples: examples.slice(0, 49) }, "examples"],
    [{ parameters: { max_tokens: 513 } }, "parameters.max_tokens"],
    [{ parameters: { n: 2 } }, "parameters.n"],
    [{ version: 2 }, "version"],
    [{ model: "nobody" }, "model"],
    [{ examples: Array.from({ length: 160 }, () => longest) }, "examples"],
    // What would be read has as many characters as all of these calls have, were it formed.
    [
      {
        optimise: true,
        examples: Array.from({ length: 500 }, () => longest),
        variants: [
          { name: "long", messages: [{ role: "user", content: "{{text}} x".repeat(99_999) }] },
        ],
      },
      "examples",
    ],
  ])("that could not be done is refused by name: %#", async (body, param) => {
    const response = await evaluate(await created(), body);
    const { status, ...error } = await errorOf(response);
    expect(error).toMatchObject({ param });
    expect([400, 404]).toContain(status);
    expect(messages).toEqual([]);
  });

  it("reads its examples out of a training file of the key", async () => {
    const id = await created();
    const [kept, bad] = ["1", "2"].map((digit) => formatFileId(digit.repeat(32)));
    const lines: Record<string, string> = {
      [kept ?? ""]: '{"text":"A joy.","label":"good"}\n\n{"text":"A bore.","label":"bad"}',
      [bad ?? ""]: '{"text":["x"],"label":"good"}\n{"text":{"a":1},"label":"good"}\n',
    };
    const world = openOutsideWorld();
    for (const [file, text] of Object.entries(lines)) {
      const bytes = new TextEncoder().encode(text);
      const key = keyOfFile(file);
      world.objects.set(key, bytes);
      const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      await env.FILES.getByName("operator").adopt({
        id: file,
        key,
        filename: "train.jsonl",
        purpose: "fine-tune",
        bytes: bytes.byteLength,
        sha256,
        createdAt: 0,
        expiresAt: null,
        status: "processed",
        statusDetails: null,
      });
    }
    const asked = { examples: undefined, file: kept, dry_run: true };
    const named = await created({
      messages: [{ role: "user", content: "{{text}} {{constructor}}" }],
      variables: {
        type: "object",
        properties: { text: { type: "string" }, constructor: { type: "string", default: "!" } },
      },
    });
    for (const prompt of [id, named])
      expect(await (await evaluate(prompt, asked)).json()).toMatchObject({ calls: 2 });
    for (const [body, param] of [
      [{ file: kept }, "file"],
      [{ examples: undefined, file: bad }, "file"],
      [{ examples: undefined, file: formatFileId("3".repeat(32)) }, "file"],
      [{ examples: undefined, file: "../x" }, "file"],
      [{ examples: undefined, file: kept, labels: ["good", "fine"] }, "examples[1].output"],
    ] as const)
      expect(await errorOf(await evaluate(id, body))).toMatchObject({ status: 400, param });
    vi.restoreAllMocks();
  });

  it("of a prompt that ships needs no key, but changes nothing", async () => {
    const options = { address: freshAddress() };
    const body = { examples, labels, optimise: true };
    const asked = await call(`${path}/keywords/evaluate`, body, options);
    expect(await errorOf(asked)).toMatchObject({ status: 400, param: "optimise" });
  });
});

/** What became of a prompt's optimisations, once it was looked at. */
async function evaluations(id: string): Promise<{ status: string; stored_version: number }[]> {
  await runDurableObjectAlarm(prompts());
  const response = await get(`${path}/${id}/evaluations`);
  return (await response.json<{ data: { status: string; stored_version: number }[] }>()).data;
}

describe("an optimisation", () => {
  const optimise = { optimise: true };

  it("stores the winner as a version, with its report, once", async () => {
    const report = optimised("Judge well.", true);
    install(answering(report));
    const id = await created();
    const { id: job } = await jobOf(await evaluate(id, optimise));
    expect(await evaluations(id)).toMatchObject([{ job, status: "stored", stored_version: 2 }]);
    const newest: PromptObject = await (await get(`${path}/${id}`)).json();
    expect(newest).toMatchObject({
      version: 2,
      messages: [{ role: "system", content: "Judge well." }, mood.messages[1]],
      model: decoder.id,
      parameters: mood.parameters,
      evaluation: { job, report },
    });
    // Asked for again, the same is found again: it is the newest version already.
    await jobOf(await evaluate(id, { ...optimise, version: 1 }));
    expect(await evaluations(id)).toMatchObject([
      { status: "stored", stored_version: 2 },
      { status: "stored", stored_version: 2 },
    ]);
  });

  it.each([
    ["not_better", answering(optimised("Judge.", false))],
    ["no_room", answering(optimised("x".repeat(promptLimits.versionBytesMax), true))],
    ["failed", () => ({ code: "invalid_value", message: "no", param: null })],
  ] satisfies [string, Answer][])("that is %s stores nothing", async (status, answer) => {
    // Another for each, so that none is answered with the result of another.
    const seed = status.length;
    install(answer);
    const id = await created();
    await jobOf(await evaluate(id, { ...optimise, seed }));
    expect(await evaluations(id)).toMatchObject([{ status, stored_version: null }]);
    expect(await (await get(`${path}/${id}`)).json()).toMatchObject({ version: 1 });
  });

  it("is one of as many as are remembered of a key", async () => {
    install(answering(optimised("Judge.", false)));
    const id = await created();
    const { evaluationsMax } = promptStorage;
    await runInDurableObject(prompts(), (_, { storage: { sql } }) => {
      sql.exec("DELETE FROM evaluations");
      const insert = `INSERT INTO evaluations (job, prompt, version, created_at, state) VALUES (?, ?, 1, ?, 'failed')`;
      for (let at = 0; at < evaluationsMax; at += 1) sql.exec(insert, `job ${at}`, id, at);
    });
    const { id: job } = await jobOf(await evaluate(id, { ...optimise, seed: 77 }));
    const known = await evaluations(id);
    expect(known).toHaveLength(evaluationsMax);
    expect(known[0]).toMatchObject({ job, status: "not_better" });
    expect(known.at(-1)).toMatchObject({ job: "job 1" });
  });

  it("waits for its job, and stores nothing of a prompt that was deleted", async () => {
    install(() => "nothing");
    const id = await created();
    const response = await evaluate(id, { ...optimise, seed: 2 });
    expect(await evaluations(id)).toMatchObject([{ status: "running", stored_version: null }]);
    await call(`${path}/${id}`, undefined, { operator: true, method: "DELETE" });
    const { id: job } = await response.json<Job>();
    const cancelled = await send(`/v1/jobs/${job}/cancel`, undefined);
    expect(cancelled.status).toBeLessThan(500);
    expect(await errorOf(await get(`${path}/${id}/evaluations`))).toMatchObject({ status: 404 });
  });
});
