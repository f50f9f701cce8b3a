/** Golden documents of the contract: each is read by its schema and comes back unchanged, and each variant has one. */
import { createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import * as z from "zod";
import { describe, expect, it } from "vitest";
import { EventsRequest, EventsResponse, JobEvent } from "../../contract/events.ts";
import { JobMessage } from "../../contract/job-message.ts";
import { resultDocument } from "../../contract/result-document.ts";
import { parseResultDocument } from "./parse-result-document.ts";
import { signedPrefix } from "../../contract/signature.ts";
import { tasks } from "../../contract/tasks.ts";

const folder = new URL("../../contract/golden/", import.meta.url);
const names = readdirSync(folder).filter(
  (name) => name.endsWith(".json") && name !== "signature.json",
);

/** The schema of a golden file, by the first part of its name. */
const schemas: Record<string, z.ZodType> = {
  "job-message": JobMessage,
  event: JobEvent,
  "events-request": EventsRequest,
  "events-response": EventsResponse,
};

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, folder), "utf8"));
}

describe("golden documents", () => {
  it.each(names)("%s is read by its schema and comes back unchanged", (name) => {
    const schema = schemas[name.split(".")[0] ?? ""];
    expect(schema, `no schema for ${name}`).toBeDefined();
    const document = read(name);
    expect(schema?.parse(document)).toEqual(document);
  });

  it("hold one message of every task", () => {
    const expected = Object.keys(tasks).map((task) => `job-message.${task}.json`);
    expect(names).toEqual(expect.arrayContaining(expected));
  });

  it("hold one event of every type", () => {
    const types = JobEvent.options.map((option) => `event.${option.shape.type.value}.json`);
    expect(types).toHaveLength(6);
    expect(names).toEqual(expect.arrayContaining(types));
  });

  it("are read with keys that a later version may add", () => {
    const message = { ...(read("job-message.noop.json") as object), addedLater: true };
    expect(JobMessage.safeParse(message).success).toBe(true);
  });

  it("are refused with a version of another meaning", () => {
    const message = { ...(read("job-message.noop.json") as object), version: 2 };
    expect(JobMessage.safeParse(message).success).toBe(false);
  });
});

describe("the golden result document", () => {
  const text = readFileSync(new URL("result-document.ndjson", folder), "utf8");

  it("is a head and a line for each output, and is written so again", () => {
    const result = parseResultDocument(text);
    expect(result.outputs.map((output) => tasks.tokenize.output.parse(output))).toHaveLength(2);
    expect(resultDocument(result)).toBe(text);
  });

  it("is what an event carries", () => {
    const event = JobEvent.parse(read("event.succeeded.json"));
    if (event.type !== "succeeded" || typeof event.result !== "string") throw new Error(event.type);
    expect(parseResultDocument(event.result).modelDigest).toBe(event.modelDigest);
  });

  it.each(["", "{}\n", "no JSON\n"])("has a head, which %j has not", (result) => {
    const event = { ...(read("event.succeeded.json") as object), result };
    expect(JobEvent.safeParse(event).success).toBe(false);
  });
});

describe("golden signatures", () => {
  const Vectors = z.object({
    vectors: z.array(
      z.object({
        name: z.string(),
        secret: z.string(),
        timestampSeconds: z.int(),
        method: z.string(),
        path: z.string(),
        body: z.string(),
        signature: z.string(),
      }),
    ),
  });

  it.each(Vectors.parse(read("signature.json")).vectors)("$name", (vector) => {
    const { timestampSeconds, method, path, body, secret, signature } = vector;
    const hmac = createHmac("sha256", secret);
    hmac.update(signedPrefix(timestampSeconds, method, path)).update(body);
    expect(`v1=${hmac.digest("hex")}`).toBe(signature);
  });
});
