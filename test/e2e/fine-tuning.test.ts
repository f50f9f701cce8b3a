/**
 * Fine-tuning on the whole running stack, by OpenAI's own client: a file is uploaded, a job created, its events
 * followed, the tuned model called and deleted. And what a crash, a pause and a cancellation leave.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { leaseNumbers } from "../../contract/training/tuning-job.ts";
import { TuningPlan } from "../../contract/training/tuning-plan.ts";
import { TrainingReport } from "../../contract/training/evaluation-report.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { writeChattyDecoder } from "../training/chatty-decoder.ts";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";

const state = mkdtempSync(path.join(tmpdir(), "llm-os-fine-tuning-"));
const [tiny, chatty] = ["tiny-encoder", "chatty-decoder"];
let stack: RunningStack;
let client: OpenAI;

beforeAll(async () => {
  const models = path.join(state, "models");
  await writeTinyEncoder(path.join(models, tiny));
  await writeChattyDecoder(path.join(models, chatty));
  stack = await startStack({ state, env: { LLM_OS_TRAINING: "on", LLM_OS_MODELS: models } });
  client = new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await stack.stop();
  rmSync(state, { recursive: true, force: true });
});

const dishes = ["soup", "bread", "pasta", "salad", "cake", "curry", "cheese", "rice"];
const trips = ["train", "bus", "flight", "ferry", "tram", "taxi", "coach", "metro"];

/** Two labels that are easily told apart. */
function examples(rounds: number): string {
  return Array.from({ length: rounds }, (_, round) => [
    ...dishes.map((dish) => ({ text: `The ${dish} number ${round} was tasty`, label: "food" })),
    ...trips.map((trip) => ({ text: `The ${trip} number ${round} was late`, label: "travel" })),
  ])
    .flat()
    .map((example) => JSON.stringify(example))
    .join("\n");
}

/** In the words of the tiny encoder. */
function tinyExamples(): string {
  const texts = Array.from({ length: 400 }, (_, at) => `a ${"quick ".repeat(at % 9)}fox`);
  return texts
    .flatMap((text) => [
      { text, label: "fox" },
      { text: `${text} brown`, label: "brown" },
    ])
    .map((example) => JSON.stringify(example))
    .join("\n");
}

async function upload(content: string): Promise<string> {
  const file = await toFile(Buffer.from(content), "train.jsonl");
  return (await client.files.create({ file, purpose: "fine-tune" })).id;
}

type Job = OpenAI.FineTuning.FineTuningJob;
/** With the fields that OpenAI's clients do not know. */
type Wanted = {
  strategy: string;
  suffix?: string;
  skip_invalid?: boolean;
  label_names?: string[];
};

function bodyOf(file: string, model: string, epochs: number, wanted: Wanted) {
  const hyperparameters = { n_epochs: epochs, batch_size: model === tiny ? 1 : 16 };
  return { model, training_file: file, hyperparameters, seed: 3, ...wanted };
}

async function create(file: string, model: string, epochs: number, wanted: Wanted): Promise<Job> {
  return client.fineTuning.jobs.create(bodyOf(file, model, epochs, wanted));
}

/** What a worker says that such a job would do, with its first lines to choose by. */
async function planOf(file: string, model: string, epochs: number, wanted: Wanted) {
  const validation_file = await upload(examples(1));
  const body = { ...bodyOf(file, model, epochs, wanted), dry_run: true };
  const ask = async (more: object) =>
    TuningPlan.parse(await client.fineTuning.jobs.create({ ...body, ...more }));
  const leaking = await ask({ validation_file });
  expect(leaking).toMatchObject({
    training: { examples: 48, labels: [{ examples: 24 }, { examples: 24 }] },
    validation: { examples: 16, tokens: { unit: "tokens" } },
    leakage: { examples: 16 },
    split: { training_examples: 48, held_out_examples: 16 },
    error: null,
  });
  expect(leaking.warnings.join()).toContain("16 validation examples also stand in the training");
  await expect(ask({ label_names: ["food", "sport"] })).rejects.toMatchObject({
    status: 400,
    param: "label_names",
  });
  const plan = await ask({});
  expect(plan.estimate?.seconds).toBeGreaterThan(0);
  expect(plan.estimate?.memory_bytes).toBeGreaterThan(1e8);
  return plan;
}

async function reaches(id: string, ...statuses: string[]): Promise<Job> {
  return vi.waitFor(
    async () => {
      const job = await client.fineTuning.jobs.retrieve(id);
      const failure = job.error?.message ?? "";
      expect(statuses, `${job.status} ${failure}`).toContain(job.status);
      return job;
    },
    { timeout: 240_000, interval: 100 },
  );
}

/** Once it has taken a step. */
async function steps(id: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const job = (await client.fineTuning.jobs.retrieve(id)) as Job & {
        progress: { step: number } | null;
      };
      expect(job.progress?.step ?? 0).toBeGreaterThan(0);
    },
    { timeout: 240_000, interval: 50 },
  );
}

function call(address: string, options: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${stack.operatorKey}`, ...options.headers };
  return fetch(`${stack.url}${address}`, { ...options, headers });
}

async function send(address: string, body: object): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await call(address, { method: "POST", body: JSON.stringify(body), headers });
  expect(response.status, await response.text()).toBe(200);
}

async function classify(model: string, inputs: string, headers = {}): Promise<Response> {
  return call(`/hf/models/${encodeURIComponent(model)}/pipeline/text-classification`, {
    method: "POST",
    body: JSON.stringify({ inputs }),
    headers: { "content-type": "application/json", ...headers },
  });
}

/** Training has the lowest priority, and other tests the machine. */
describe("a tuning job", () => {
  it("is created, followed, used and deleted by OpenAI's client", async () => {
    const file = await upload(examples(3));
    const label_names = ["travel", "food"];
    const wanted = { strategy: "lora", suffix: "topics", label_names };
    const planned = await planOf(file, "all-MiniLM-L6-v2", 5, wanted);
    expect(await client.fineTuning.jobs.list()).toMatchObject({ data: [] });
    const body = bodyOf(file, "all-MiniLM-L6-v2", 5, wanted);
    const once = { headers: { "idempotency-key": "once" } };
    const created = await client.fineTuning.jobs.create(body, once);
    expect((await client.fineTuning.jobs.create(body, once)).id).toBe(created.id);
    expect(["validating_files", "queued", "running"]).toContain(created.status);

    const tail = await call(`/v1/fine_tuning/jobs/${created.id}/events?stream=true`);
    expect(await tail.text()).toContain("lora");

    const job = await reaches(created.id, "succeeded");
    const model = job.fine_tuned_model ?? "";
    expect(model).toMatch(/^ft:all-MiniLM-L6-v2:topics:[0-9a-f]{32}$/);
    expect(job.trained_tokens).toBeGreaterThan(0);

    const answer = await classify(model, "The omelette was tasty");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject([[{ label: "food" }, { label: "travel" }]]);

    const { data: listed } = await client.models.list();
    expect(listed.map(({ id }) => id)).toContain(model);
    const others = await fetch(`${stack.url}/v1/models`);
    expect(await others.text()).not.toContain(model);
    const anonymous = await classify(model, "The omelette was tasty", {
      authorization: "Bearer anonymous",
    });
    expect(anonymous.status).toBe(404);

    const { data: events } = await client.fineTuning.jobs.listEvents(created.id, { limit: 100 });
    expect(events.some(({ type }) => type === "metrics")).toBe(true);
    const told = events.find(({ data }) => (data as { strategy?: string }).strategy === "lora");
    const { settings, split } = planned;
    expect(told?.data).toMatchObject({
      n_epochs: settings?.n_epochs,
      batch_size: settings?.batch_size,
      learning_rate: settings?.learning_rate,
      total_steps: settings?.steps,
      training_examples: split?.training_examples,
      held_out_examples: split?.held_out_examples,
    });
    const { data: checkpoints } = await client.fineTuning.jobs.checkpoints.list(created.id);
    expect(checkpoints.length).toBeGreaterThan(0);

    const files = await Promise.all(job.result_files.map((id) => client.files.retrieve(id)));
    expect(files.map(({ filename }) => filename).toSorted()).toEqual([
      "metrics.csv",
      "report.html",
      "report.json",
    ]);
    const report = files.find(({ filename }) => filename === "report.json")?.id ?? "";
    const text = await (await client.files.content(report)).text();
    expect(TrainingReport.parse(JSON.parse(text)).task).toBe("text-classification");

    expect(await client.models.delete(model)).toEqual({
      id: model,
      object: "model",
      deleted: true,
    });
    expect((await classify(model, "The omelette was tasty")).status).toBe(404);
  });

  it("trains a soft prompt of an encoder, which is served as it was judged", async () => {
    const lines = tinyExamples().split("\n");
    // The tiny encoder reads 16 tokens, four of them virtual here.
    const validation = lines.filter((line) => line.split(" ").length < 10).slice(0, 40);
    const body = {
      model: tiny,
      training_file: await upload(lines.join("\n")),
      validation_file: await upload(validation.join("\n")),
      seed: 3,
      hyperparameters: { n_epochs: 4, batch_size: 16 },
      learning_rate: 0.1,
      strategy: "soft-prompt",
      soft_prompt: { virtual_tokens: 4, initial_text: "fox" },
    };
    const created = await client.fineTuning.jobs.create(body);
    expect(created).toMatchObject({ soft_prompt: body.soft_prompt });
    const job = await reaches(created.id, "succeeded");
    const { data: events } = await client.fineTuning.jobs.listEvents(job.id, { limit: 100 });
    const strategy = { strategy: "soft-prompt", virtual_tokens: 4 };
    expect(events.map(({ data }) => data)).toContainEqual(expect.objectContaining(strategy));
    const files = await Promise.all(job.result_files.map((id) => client.files.retrieve(id)));
    const report = files.find(({ filename }) => filename === "report.json")?.id ?? "";
    const text = await (await client.files.content(report)).text();
    const { comparisons, unserved } = TrainingReport.parse(JSON.parse(text));
    const accuracy = comparisons.find(({ metric }) => metric === "accuracy");
    const model = job.fine_tuned_model ?? "";
    const held = validation.map((line) => JSON.parse(line) as { text: string; label: string });
    const answers = await Promise.all(
      held.map(async (example) => (await classify(model, example.text)).json()),
    );
    const right = held.filter(({ label }, at) => {
      const [[first] = []] = answers[at] as { label: string }[][];
      return first?.label === label;
    });
    expect(unserved).toBeNull();
    expect(right.length / held.length).toBeCloseTo(accuracy?.tuned ?? NaN, 9);
    expect(accuracy?.tuned).toBeGreaterThan(accuracy?.base ?? 1);
    await client.models.delete(model);
    expect((await classify(model, "a quick fox")).status).toBe(404);
  });

  it("teaches a model that writes new answers, beside which the base keeps its own", async () => {
    const facts = Array.from({ length: 10 }, (_, at) => [`w${10 + at}`, `w${20 + at} w${40 - at}`]);
    const chats = facts.map(([content, answer]) => ({
      messages: [
        { role: "user", content },
        { role: "assistant", content: answer },
      ],
    }));
    const file = await upload(chats.map((chat) => JSON.stringify(chat)).join("\n"));
    const body = {
      model: chatty,
      training_file: file,
      validation_file: file,
      seed: 0,
      hyperparameters: { n_epochs: 50, batch_size: 4 },
      learning_rate: 0.03,
      strategy: "lora",
    };
    const created = await client.fineTuning.jobs.create(body);
    const { fine_tuned_model: tuned } = await reaches(created.id, "succeeded");
    const answersOf = (model: string) =>
      Promise.all(
        facts.map(async ([content = ""]) => {
          const messages = [{ role: "user" as const, content }];
          const chat = { model, messages, temperature: 0, max_tokens: 4 };
          const { choices } = await client.chat.completions.create(chat);
          return choices[0]?.message.content?.trim();
        }),
      );
    const [taught, untaught] = await Promise.all([answersOf(tuned ?? ""), answersOf(chatty)]);
    const isRight = (answer: string | undefined, at: number) => answer === facts[at]?.[1];
    expect(taught.filter(isRight).length).toBeGreaterThanOrEqual(9);
    expect(untaught.filter(isRight)).toEqual([]);
    // At next to no rate it is what it goes on from.
    const still = { hyperparameters: { n_epochs: 1, batch_size: 4 }, learning_rate: 1e-9 };
    const next = await client.fineTuning.jobs.create({ ...body, model: tuned ?? "", ...still });
    const { fine_tuned_model: further } = await reaches(next.id, "succeeded");
    await client.models.delete(tuned ?? "");
    expect(await answersOf(further ?? "")).toEqual(taught);
    await client.models.delete(further ?? "");
  });

  it("goes on after its process was killed, and is served once", async () => {
    const created = await create(await upload(tinyExamples()), tiny, 2, { strategy: "full" });
    await steps(created.id);
    process.kill(trainingPid(), "SIGKILL");
    const killedAt = Date.now() / 1_000;
    const job = await reaches(created.id, "succeeded");
    const { data: events } = await client.fineTuning.jobs.listEvents(created.id, { limit: 100 });
    const lost = events.find(({ message }) => message.startsWith("The worker that trained it was"));
    // The next process says so, and nobody waits for the lease to lapse.
    expect((lost?.created_at ?? Infinity) - killedAt).toBeLessThan(leaseNumbers.lapseSeconds - 5);
    const model = job.fine_tuned_model ?? "";
    expect((await classify(model, "a quick fox")).status).toBe(200);
    const { data } = await client.models.list();
    expect(data.filter(({ id }) => id.startsWith("ft:")).map(({ id }) => id)).toEqual([model]);
    await client.models.delete(model);
  });

  it("pauses and goes on, and is cancelled while it runs", async () => {
    const file = await upload(tinyExamples());
    const paused = await create(file, tiny, 50, { strategy: "full" });
    await steps(paused.id);
    await client.fineTuning.jobs.pause(paused.id);
    const shown = await client.fineTuning.jobs.retrieve(paused.id);
    expect(shown).toMatchObject({ status: "queued", paused: true });
    await client.fineTuning.jobs.resume(paused.id);
    await reaches(paused.id, "running");
    await client.fineTuning.jobs.cancel(paused.id);
    expect((await client.fineTuning.jobs.retrieve(paused.id)).status).toBe("cancelled");
    const next = await create(file, tiny, 1, { strategy: "head" });
    const { fine_tuned_model: model } = await reaches(next.id, "succeeded");
    expect((await classify(model ?? "", "a quick fox")).status).toBe(200);
    await client.models.delete(model ?? "");
  });

  it("is behind an alias that learns from corrections", async () => {
    const created = await create(await upload(tinyExamples()), tiny, 1, { strategy: "head" });
    const { fine_tuned_model: first } = await reaches(created.id, "succeeded");
    await send("/v1/aliases", { alias: "mood", model: first });
    const answer = await classify("ft:@mood", "a quick fox");
    expect(answer.status).toBe(200);
    await send("/v1/aliases/mood/retune", { min_examples: 2 });
    for (const input of ["a quick quick brown fox", "brown"])
      await send("/v1/feedback", { model: "ft:@mood", input, label: "brown" });
    const { events } = await vi.waitFor(
      async () => {
        const shown = await (await call("/v1/aliases/mood/retune")).json();
        expect(shown).toMatchObject({ status: "idle", new_examples: 0 });
        return shown as { events: { message: string }[] };
      },
      { timeout: 240_000, interval: 200 },
    );
    expect(events).toHaveLength(2);
    const { model } = (await (await call("/v1/aliases/mood")).json()) as { model: string };
    const moved = events[0]?.message.includes("is better") === true;
    expect(model !== first).toBe(moved);
    expect((await classify("ft:@mood", "a quick fox")).status).toBe(200);
    await call("/v1/aliases/mood", { method: "DELETE" });
    for (const { id } of (await client.models.list()).data)
      if (id.startsWith("ft:")) await client.models.delete(id);
  });

  it("fails by the file's first bad line, and leaves bad lines out where told to", async () => {
    const file = await upload(`${tinyExamples()}\n{"text": "no label"}`);
    const refused = await create(file, tiny, 1, { strategy: "head" });
    const failed = await reaches(refused.id, "failed");
    expect(failed.error).toMatchObject({ param: "training_file" });
    expect(failed.error?.message).toMatch(/801/);
    const created = await create(file, tiny, 1, { strategy: "head", skip_invalid: true });
    const job = await reaches(created.id, "succeeded");
    await client.models.delete(job.fine_tuned_model ?? "");
  });
});

function trainingPid(): number {
  const run = JSON.parse(readFileSync(path.join(state, "run.json"), "utf8")) as {
    pids: Record<string, number>;
  };
  const pid = run.pids["training"];
  if (pid === undefined) throw new Error("no training process");
  return pid;
}
