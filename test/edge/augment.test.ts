/** Augmentations at the edge: what they cost, which models they take, their jobs, and the training files they make. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { AugmentationReport } from "../../contract/augmentation/augmentation-report.ts";
import { type TaskInput, type TaskParameters, tasks } from "../../contract/tasks.ts";
import { type FileObject, formatFileId, keyOfFile } from "../../edge/files/stored-file.ts";
import { call, errorOf, freshAddress } from "./caller.ts";
import { openOutsideWorld } from "./jobs/outside-world.ts";
import {
  allReported,
  announce,
  decoder,
  install,
  messages,
  miniLm,
  saying,
} from "./stand-in-worker.ts";
import { tunedModel } from "./tuned-model.ts";

const path = "/v1/augment";
const { output: report, input } = tasks.augmentation.example;
const { examples } = input;
const encoder = {
  ...miniLm,
  tasks: [...miniLm.tasks, "zero-shot-classification" as const],
};
const classifier = {
  ...miniLm,
  id: "intents",
  aliases: [],
  tasks: ["text-classification" as const],
  limits: { maxTokens: 256, dimensions: null, vocabularySize: 30_522 },
};

const answering = (said: AugmentationReport) =>
  saying(said, { promptTokens: 72, completionTokens: 0 });

beforeEach(async () => {
  install(answering(report));
  await announce([encoder, classifier, decoder]);
  return () => vi.unstubAllGlobals();
});

const send = (body: unknown, to = path) => call(to, body, { operator: true });
const exported = (body: object) => send(body, `${path}/export`);
const linesOf = (rows: readonly { text: string; label: string }[]) =>
  rows.map(({ text, label }) => `${JSON.stringify({ text, label })}\n`).join("");

type Job = { id: string; status: string; task: string; output: AugmentationReport | null };

async function jobOf(response: Response): Promise<Job> {
  expect(response.status, await response.clone().text()).toBe(202);
  const { id } = await response.json<Job>();
  await allReported();
  return (await call(`/v1/jobs/${id}`, undefined, { operator: true })).json();
}

describe("an augmentation", () => {
  it("is a job, with every setting said, and its output is the report", async () => {
    const job = await jobOf(await send({ examples, seed: 5, per_example: 2 }));
    expect(job).toMatchObject({ status: "succeeded", task: "augmentation", output: report });
    expect(messages).toMatchObject([
      {
        task: "augmentation",
        model: encoder.id,
        requestKey: null,
        inputs: [{ examples }],
        parameters: { seed: 5, per_example: 2, generator: null, zero_shot: true, pivot: "fr" },
      },
    ]);
  });

  it("takes a classifier as the judge, and by its names what else the call says", async () => {
    const methods = ["paraphrase", "swap"];
    const [generator] = decoder.aliases;
    await jobOf(await send({ examples, judge: "intents", generator, methods }));
    const [message] = messages;
    expect(message).toMatchObject({
      model: "intents",
      parameters: { generator: decoder.id, embedder: encoder.id, zero_shot: false },
    });
  });

  it("takes a tuned classifier of the key, with where its files are", async () => {
    const model = tunedModel();
    await env.TUNED_MODELS.getByName("operator").put(model);
    await jobOf(await send({ examples, judge: model.name }));
    expect(messages).toMatchObject([{ model: model.name, parameters: { zero_shot: false } }]);
    expect(messages[0]).toHaveProperty("tuned");
    const asked = { examples, embedder: model.name };
    expect(await errorOf(await send(asked))).toMatchObject({ status: 400, param: "embedder" });
  });

  it("says first what it would cost, of which nothing is done", async () => {
    const asked = { examples, generator: decoder.id, methods: ["back_translation"], dry_run: true };
    const short = await (await send({ ...asked, per_example: 1 })).json();
    expect(short).toMatchObject({
      object: "augmentation.quote",
      judge: encoder.id,
      candidates: 2,
      answers: 4,
    });
    const long = await (await send({ ...asked, per_example: 8 })).json<{ units: number }>();
    // There and back: 32 answers of 64 tokens.
    expect(long.units).toBeGreaterThan(32 * 64);
    expect(messages).toEqual([]);
  });

  it("belongs to a key", async () => {
    const response = await call(path, { examples }, { address: freshAddress() });
    expect(await errorOf(response)).toMatchObject({ status: 403 });
    const file = await call(`${path}/export`, { job: "x" }, { address: freshAddress() });
    expect(await errorOf(file)).toMatchObject({ status: 403 });
  });

  const many = Array.from({ length: 500 }, (_, at) => ({
    text: `text ${at} `.repeat(90),
    label: "a",
  }));
  it.each([
    [{ examples: [] }, "examples"],
    [{ examples: undefined }, "examples"],
    [{ examples: [...many, ...examples] }, "examples"],
    [{ examples: many, per_example: 16 }, "examples"],
    [{ examples: [{ text: " \n", label: "a" }] }, "examples[0].text"],
    [{ examples: [{ text: "x".repeat(1_001), label: "a" }] }, "examples[0].text"],
    [{ examples: [{ text: "x", label: "" }] }, "examples[0].label"],
    [{ examples: [{ text: "x", label: "a", extra: 1 }] }, "examples[0].extra"],
    [{ examples: many.slice(0, 201).map((each, at) => ({ ...each, label: `${at}` })) }, "examples"],
    [{ methods: [] }, "methods"],
    [{ methods: ["synonym"] }, "methods[0]"],
    [{ methods: ["swap", "swap"] }, "methods"],
    [{ methods: ["paraphrase"] }, "generator"],
    [{ methods: ["style"], generator: miniLm.id }, "generator"],
    [{ methods: ["style"], generator: "nobody" }, "generator"],
    [{ judge: decoder.id }, "judge"],
    [{ judge: "intents", zero_shot: true }, "zero_shot"],
    [{ zero_shot: false }, "zero_shot"],
    [{ embedder: "intents" }, "embedder"],
    [{ per_example: 17 }, "per_example"],
    [{ per_example: 1e300 }, "per_example"],
    [{ similarity_min: 0.9, similarity_max: 0.5 }, "similarity_min"],
    [{ similarity_min: "0.5" }, "similarity_min"],
    [{ seed: -1 }, "seed"],
    [{ pivot: "en" }, "pivot"],
    [{ file: formatFileId("4".repeat(32)), examples: undefined }, "file"],
    [{ file: formatFileId("4".repeat(32)) }, "file"],
    [
      {
        examples: many.slice(0, 400),
        methods: ["slot"],
        generator: decoder.id,
        per_example: 2,
        generated_max: 1_000,
        max_tokens: 256,
      },
      "generated_max",
    ],
  ])("that could not be done is refused by name: %#", async (body, param) => {
    const { status, ...error } = await errorOf(await send({ examples, ...body }));
    expect(error).toMatchObject({ param });
    expect([400, 404]).toContain(status);
    expect(messages).toEqual([]);
  });
});

describe("its export", () => {
  it("is a training file of the key, of which more can be made", async () => {
    const { id: job } = await jobOf(await send({ examples }));
    vi.unstubAllGlobals();
    const world = openOutsideWorld();
    const bytesOf = ({ id }: FileObject) =>
      new TextDecoder().decode(world.objects.get(keyOfFile(id)));
    const file = await (await exported({ job })).json<FileObject>();
    expect(file).toMatchObject({ purpose: "fine-tune", status: "uploaded" });
    expect(bytesOf(file)).toBe(linesOf([...examples, ...report.candidates]));
    const alone = await (await exported({ job, originals: false })).json<FileObject>();
    expect(bytesOf(alone)).toBe(linesOf(report.candidates));
    // What was written is read again.
    const again = await send({ file: file.id, per_example: 1 });
    expect(again.status).toBe(202);
    const [given] = (world.messages.at(-1)?.inputs ?? []) as TaskInput<"augmentation">[];
    expect(given?.examples).toHaveLength(examples.length + report.candidates.length);
    vi.restoreAllMocks();
  });

  it("is refused of a job that is none, or has made nothing", async () => {
    const unknown = { job: "job_3_000000000000000000000000000000ff" };
    expect(await errorOf(await exported(unknown))).toMatchObject({ status: 404, param: "job" });
    expect(await errorOf(await exported({ job: "../x" }))).toMatchObject({ status: 404 });
    install(answering({ ...report, kept: 0, candidates: [] }));
    const { id: job } = await jobOf(await send({ examples, seed: 8 }));
    const none = await exported({ job, originals: false });
    expect(await errorOf(none)).toMatchObject({ status: 400, param: "job" });
    install(() => "nothing");
    const { id } = await (await send({ examples, seed: 9 })).json<Job>();
    expect(await errorOf(await exported({ job: id }))).toMatchObject({ status: 400, param: "job" });
    await send(undefined, `/v1/jobs/${id}/cancel`);
  });
});

it("is estimated no lower than what is said to be written", async () => {
  const { example } = tasks.augmentation;
  const parameters: TaskParameters<"augmentation"> = {
    ...example.parameters,
    methods: ["paraphrase"],
    generator: decoder.id,
    generated_max: 3,
    max_tokens: 100,
  };
  const tokens = tasks.augmentation
    .reads(input, { ...parameters, per_example: 2 }, true)
    .flatMap((each) => (typeof each === "object" && "tokens" in each ? [each.tokens] : []));
  expect(tokens.filter((count) => count === 100)).toHaveLength(3);
});
