/**
 * Files on the whole running stack, by OpenAI's own client and by plain HTTP: uploaded, judged, listed, read, deleted;
 * what is no training file, and what is too much.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { AugmentationReport } from "../../contract/augmentation/augmentation-report.ts";
import { FileReport } from "../../contract/training/report.ts";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { noSchemas, wrongBy } from "../openai-schema.ts";

const state = mkdtempSync(path.join(tmpdir(), "llm-os-files-"));
let stack: RunningStack;
let client: OpenAI;

beforeAll(async () => {
  stack = await startStack({ state, env: {} });
  client = new OpenAI({ apiKey: stack.operatorKey, baseURL: `${stack.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await stack.stop();
  rmSync(state, { recursive: true, force: true });
});

function linesOf(count: number, textOf = (index: number) => `text ${index}`): string {
  return Array.from({ length: count }, (_, index) =>
    JSON.stringify({ text: textOf(index), label: index % 2 === 0 ? "good" : "bad" }),
  ).join("\n");
}

async function upload(content: string | Uint8Array, name = "train.jsonl") {
  return client.files.create({
    file: await toFile(Buffer.from(content), name),
    purpose: "fine-tune",
  });
}

/** Once all of it was judged. */
async function judged(id: string): Promise<OpenAI.FileObject> {
  return vi.waitFor(
    async () => {
      const file = await client.files.retrieve(id);
      expect(file.status).not.toBe("uploaded");
      return file;
    },
    { timeout: 120_000, interval: 50 },
  );
}

async function reportOf(id: string): Promise<FileReport> {
  const response = await fetch(`${stack.url}/v1/files/${id}/report`, {
    headers: { authorization: `Bearer ${stack.operatorKey}` },
  });
  expect(response.status).toBe(200);
  return FileReport.parse(await response.json());
}

/** A form as it stands, whatever it holds. */
function post(body: string | FormData, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${stack.url}/v1/files`, {
    method: "POST",
    body,
    headers: { authorization: `Bearer ${stack.operatorKey}`, ...headers },
  });
}

function formOf(fields: Record<string, string | Blob>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}

describe("a file", () => {
  it("is uploaded, judged, listed, read and deleted by OpenAI's client", async () => {
    const content = linesOf(20);
    const created = await upload(content);
    expect(created).toMatchObject({
      object: "file",
      filename: "train.jsonl",
      bytes: content.length,
      purpose: "fine-tune",
    });
    if (noSchemas === null) expect(wrongBy("OpenAIFile", created)).toEqual([]);
    expect(await judged(created.id)).toMatchObject({ status: "processed" });
    expect(await reportOf(created.id)).toMatchObject({
      form: "single-label",
      task: "text-classification",
      examples: 20,
      bad_examples: 0,
    });
    const second = await upload(linesOf(12), "other.jsonl");
    const listed = await client.files.list({ limit: 1 });
    expect(listed.data.map(({ id }) => id)).toEqual([second.id]);
    expect(listed.has_more).toBe(true);
    const all: string[] = [];
    for await (const file of client.files.list({ limit: 1, order: "asc" })) all.push(file.id);
    expect(all).toEqual([created.id, second.id]);
    expect(await (await client.files.content(created.id)).text()).toBe(content);
    expect(await client.files.delete(created.id)).toEqual({
      id: created.id,
      object: "file",
      deleted: true,
    });
    await expect(client.files.retrieve(created.id)).rejects.toMatchObject({ status: 404 });
    await expect(client.files.content(created.id)).rejects.toMatchObject({ status: 404 });
  });

  it("grows by what is made of its examples, and is a training file again", async () => {
    const films = ["film", "play", "concert", "novel", "album"].flatMap((what, at) => [
      { text: `I loved every minute of this wonderful ${what}, number ${at}`, label: "good" },
      { text: `A dull and lifeless ${what} that bored me to tears, number ${at}`, label: "bad" },
    ]);
    const { id: file } = await upload(films.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const send = async <T>(route: string, body: object) => {
      const headers = {
        authorization: `Bearer ${stack.operatorKey}`,
        "content-type": "application/json",
      };
      const response = await fetch(`${stack.url}/v1/${route}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      return { status: response.status, answer: (await response.json()) as T };
    };
    const asked = { file, methods: ["swap", "delete", "keyboard"], per_example: 3, seed: 5 };
    const begun = await send<{ id: string }>("augment", asked);
    expect(begun.status).toBe(202);
    const job = `${stack.url}/v1/jobs/${begun.answer.id}`;
    const headers = { authorization: `Bearer ${stack.operatorKey}` };
    await (await fetch(`${job}/events`, { headers })).text();
    const { output } = (await (await fetch(job, { headers })).json()) as {
      output: AugmentationReport;
    };
    const { candidates } = AugmentationReport.parse(output);
    expect(candidates.length).toBeGreaterThan(films.length);
    for (const { label, source, scores } of candidates) {
      expect(label).toBe(films[source]?.label);
      expect(scores.similarity).toBeGreaterThanOrEqual(0.6);
      expect(scores.label).toBeGreaterThan(0);
    }
    const exported = await send<OpenAI.FileObject>("augment/export", { job: begun.answer.id });
    const { id } = exported.answer;
    expect(await judged(id)).toMatchObject({ status: "processed", purpose: "fine-tune" });
    expect(await reportOf(id)).toMatchObject({
      examples: films.length + candidates.length,
      bad_examples: 0,
      problems: [],
      ignored_fields: [],
    });
    const content = await (await client.files.content(id)).text();
    const rows = content
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows).toEqual([...films, ...candidates.map(({ text, label }) => ({ text, label }))]);
    for (const each of [file, id]) await client.files.delete(each);
  });

  it("of several parts comes back as it was sent", async () => {
    const content = linesOf(30_000, (index) => `${index} ${"x".repeat(400)}`);
    expect(content.length).toBeGreaterThan(11 * 2 ** 20);
    const { id, bytes } = await upload(content);
    expect(bytes).toBe(content.length);
    expect(await judged(id)).toMatchObject({ status: "processed" });
    expect(await (await client.files.content(id)).text()).toBe(content);
  });

  it("with bad lines is an error that tells them", async () => {
    const { id } = await upload(`${linesOf(20)}\n{"text":"no label"}\n{"text":`);
    const { status, status_details: details } = await judged(id);
    expect(status).toBe("error");
    expect(details).toMatch(/^2 of 22 examples cannot be used; the first: line 21: /);
    const { problems } = await reportOf(id);
    expect(problems.map(({ line, code }) => ({ line, code }))).toEqual([
      { line: 21, code: "missing" },
      { line: 22, code: "invalid_json" },
    ]);
  });

  it("goes when its time is over, and not before", async () => {
    const form = formOf({
      purpose: "fine-tune",
      "expires_after[anchor]": "created_at",
      "expires_after[seconds]": "3600",
      file: new File([linesOf(10)], "a.jsonl"),
    });
    const file = (await (await post(form)).json()) as { created_at: number; expires_at: number };
    expect(file.expires_at - file.created_at).toBe(3_600);
  });
});

describe("what is refused", () => {
  const good = new File([linesOf(10)], "a.jsonl");
  it.each<[string, () => string | FormData, number, RegExp]>([
    ["no purpose", () => formOf({ file: good }), 400, /purpose/],
    ["another purpose", () => formOf({ file: good, purpose: "assistants" }), 400, /purpose/],
    ["no file", () => formOf({ purpose: "fine-tune" }), 400, /file/],
    ["two files", () => twice(good), 400, /twice/],
    [
      "a field that is not known",
      () => formOf({ file: good, purpose: "fine-tune", x: "1" }),
      400,
      /x/,
    ],
    [
      "an empty file",
      () => formOf({ file: new File([""], "a"), purpose: "fine-tune" }),
      400,
      /no examples/,
    ],
    [
      "a zip",
      () => formOf({ file: new File(["PK\u0003\u0004"], "a.zip"), purpose: "fine-tune" }),
      400,
      /zip/,
    ],
    [
      "NULs",
      () => formOf({ file: new File(["\0".repeat(9_000)], "a"), purpose: "fine-tune" }),
      400,
      /binary/,
    ],
    ["no form", () => "{}", 400, /multipart\/form-data/],
  ])("%s", async (_, body, status, message) => {
    const response = await post(body());
    const { error } = (await response.json()) as { error: { message: string } };
    expect({ status: response.status, message: error.message }).toEqual({
      status,
      message: expect.stringMatching(message),
    });
  });

  it("more than a file may have, and nothing of it is left", async () => {
    const before = await client.files.list();
    const chunk = new Uint8Array(2 ** 20).fill(0x61);
    chunk.set(Buffer.from('{"text":"'));
    const body = formOf({
      purpose: "fine-tune",
      file: new File(
        Array.from({ length: 101 }, () => chunk),
        "large.jsonl",
      ),
    });
    expect((await post(body)).status).toBe(413);
    expect((await client.files.list()).data).toEqual(before.data);
  });

  it("a caller without a key, and an id of nobody's", async () => {
    const anonymous = await fetch(`${stack.url}/v1/files`);
    expect(anonymous.status).toBe(403);
    const files = await fetch(`${stack.url}/v1/files/file-${"0".repeat(32)}`, {
      headers: { authorization: `Bearer ${stack.operatorKey}` },
    });
    expect(files.status).toBe(404);
  });
});

describe("kill −9", () => {
  it("of the edge in mid-upload leaves nothing of it to be seen", async () => {
    const before = await client.files.list();
    const part = new TextEncoder().encode(`${linesOf(1)}\n`.repeat(150_000));
    const begun = Promise.withResolvers<void>();
    const head = `--x\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n`;
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(head)),
      // The second part is asked for once the first has gone; a third never comes.
      async pull(controller) {
        controller.enqueue(part);
        begun.resolve();
        await new Promise(() => {});
      },
    });
    const broken = fetch(`${stack.url}/v1/files`, {
      method: "POST",
      body,
      duplex: "half",
      headers: {
        authorization: `Bearer ${stack.operatorKey}`,
        "content-type": "multipart/form-data; boundary=x",
      },
    } as RequestInit).then(
      () => "answered",
      () => "broken off",
    );
    await begun.promise;
    await stack.kill("edge");
    expect(await broken).toBe("broken off");
    await vi.waitFor(async () => expect((await fetch(`${stack.url}/healthz`)).ok).toBe(true), {
      timeout: 120_000,
      interval: 50,
    });
    expect((await client.files.list()).data).toEqual(before.data);
    const { id } = await upload(linesOf(10));
    expect(await judged(id)).toMatchObject({ status: "processed" });
  });
});

function twice(file: File): FormData {
  const form = formOf({ purpose: "fine-tune", file });
  form.append("file", file);
  return form;
}
