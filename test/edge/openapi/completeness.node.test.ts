/**
 * What the published description says of each operation, header and property, and that its examples are what it
 * describes.
 */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { describeApi } from "../../../edge/openapi/describe-api.ts";
import { operations } from "../../../edge/openapi/operations.ts";

const Shown = z.looseObject({ schema: z.unknown(), example: z.unknown() });
const Content = z
  .strictObject({
    "application/json": Shown.optional(),
    "text/event-stream": Shown.optional(),
    "multipart/form-data": Shown.optional(),
    "application/octet-stream": Shown.optional(),
  })
  .refine((content) => Object.keys(content).length > 0);
const Response = z.looseObject({
  description: z.string().min(1),
  headers: z.record(z.string(), z.unknown()),
  content: Content,
});
const OperationObject = z.looseObject({
  tags: z.array(z.string()).min(1),
  summary: z.string().min(1),
  description: z.string().min(1),
  requestBody: z.looseObject({ content: Content }).optional(),
  responses: z.record(z.string(), z.unknown()),
});
const Document = z.looseObject({
  tags: z.array(z.object({ name: z.string(), description: z.string().min(1) })),
  paths: z.record(z.string(), z.record(z.string(), OperationObject)),
  components: z.looseObject({
    headers: z.record(z.string(), z.looseObject({ description: z.string().min(1) })),
    schemas: z.record(z.string(), z.unknown()),
  }),
});

const json: unknown = JSON.parse(JSON.stringify(describeApi("https://edge.test")));
const document = Document.parse(json);
const all = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

type Node = { [key: string]: unknown };

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

/** What a reference refers to; anything else is itself. */
function resolve(value: unknown): unknown {
  if (!isNode(value) || typeof value["$ref"] !== "string") return value;
  let found: unknown = json;
  for (const key of value["$ref"].slice(2).split("/")) found = isNode(found) ? found[key] : null;
  return resolve(found);
}

function* nodesOf(value: unknown, path: string): Generator<{ path: string; node: Node }> {
  if (!isNode(value)) return;
  yield { path, node: value };
  // An example is no schema, though it may hold one.
  const parts = Object.entries(value).filter(([key]) => key !== "example");
  for (const [key, part] of parts) yield* nodesOf(part, `${path}/${key}`);
}

/** The schema and all that it refers to. */
function* reachable(schema: unknown, seen = new Set<unknown>()): Generator<unknown> {
  const shared = resolve(schema);
  if (seen.has(shared)) return;
  seen.add(shared);
  yield shared;
  for (const { node } of nodesOf(shared, "")) yield* reachable(node, seen);
}

function propertiesOf(node: Node): Node | null {
  const { type, properties } = node;
  return type === "object" && isNode(properties) ? properties : null;
}

const responsesOf = (operation: z.infer<typeof OperationObject>) =>
  Object.entries(operation.responses).map(([status, response]) => ({
    status,
    response: Response.parse(resolve(response)),
  }));

describe("every operation", () => {
  it.each(all)("has a described tag, a description and examples: $name", ({ operation }) => {
    const described = document.tags.map(({ name }) => name);
    expect(described).toEqual(expect.arrayContaining(operation.tags));
    const bodies = [
      operation.requestBody?.content,
      ...responsesOf(operation).map(({ response }) => response.content),
    ];
    for (const body of bodies) {
      for (const shown of Object.values(body ?? {})) expect(shown?.example).toBeDefined();
    }
  });

  it.each(all)("names the headers of each answer: $name", ({ operation }) => {
    const limited = ["requests", "tokens"].flatMap((unit) =>
      ["limit", "remaining", "reset"].map((word) => `x-ratelimit-${word}-${unit}`),
    );
    for (const { status, response } of responsesOf(operation)) {
      const names = Object.keys(response.headers);
      expect(names, status).toContain("x-request-id");
      if (status === "429")
        expect(names).toEqual(expect.arrayContaining([...limited, "retry-after"]));
      if (status === "504") expect(names).toEqual(expect.arrayContaining(["location", "x-job-id"]));
      for (const header of Object.values(response.headers)) expect(resolve(header)).toBeDefined();
    }
    // A file is stored, or a tuning job: no model runs before the answer.
    if (operation.requestBody === undefined || !("202" in operation.responses)) return;
    const [done] = responsesOf(operation);
    expect(Object.keys(done?.response.headers ?? {})).toEqual(
      expect.arrayContaining([...limited, "x-warnings", "x-cache", "x-model-digest", "x-job-id"]),
    );
  });

  it.each(operations)("has examples that are what its schemas describe: $path", (operation) => {
    for (const part of ["request", "response", "event"] as const) {
      operation[part]?.parse(operation.example[part]);
      expect(operation.example[part] !== undefined).toBe(operation[part] !== undefined);
    }
    expect(operation.response ?? operation.event).toBeDefined();
  });

  it("names strict=1 exactly where a field is accepted and not acted on", () => {
    for (const { name, operation } of all) {
      const { parameters, requestBody } = operation;
      const names = z.array(z.unknown()).parse(parameters).map(resolve);
      const strict = names.some((each) => isNode(each) && each["name"] === "strict");
      const { schema } = requestBody?.content["application/json"] ?? {};
      const reached = [...reachable(schema)].map((each) => JSON.stringify(each)).join("");
      expect(reached.includes("not acted on"), name).toBe(strict);
    }
  });

  it("can meet a conflict exactly where a key makes it one with what was sent before", () => {
    for (const { name, operation } of all) {
      const hasKey = JSON.stringify(operation["parameters"]).includes("idempotencyKey");
      expect(Object.keys(operation.responses).includes("409"), name).toBe(hasKey);
    }
  });
});

describe("the schemas", () => {
  it("describe every property", () => {
    const bare = [...nodesOf(json, "#")].flatMap(({ path, node }) =>
      Object.entries(propertiesOf(node) ?? {}).flatMap(([name, property]) => {
        const told = isNode(property) ? property["description"] : undefined;
        const shared = resolve(property);
        const text = told ?? (isNode(shared) ? shared["description"] : undefined);
        return typeof text === "string" && text.length > 0 ? [] : [`${path}/${name}`];
      }),
    );
    expect(bare).toEqual([]);
  });

  it("stand once each, and are referred to", () => {
    const seen = new Map<string, string>();
    for (const { path, node } of nodesOf(json, "#")) {
      if (propertiesOf(node) === null) continue;
      const text = JSON.stringify(node);
      expect(seen.get(text), path).toBeUndefined();
      seen.set(text, path);
    }
    expect(Object.keys(document.components.schemas).length).toBeGreaterThan(50);
  });

  it("say lists of so many alike by their items", () => {
    for (const { path, node } of nodesOf(json, "#")) {
      if (node["type"] === "array") expect(node["items"], path).toSatisfy(isNode);
    }
  });

  it("ask for a webhook where something is said of one", () => {
    const told = [...nodesOf(json, "#")].filter(
      ({ node }) => "webhook" in (propertiesOf(node) ?? {}),
    );
    expect(told.length).toBeGreaterThan(20);
    for (const { path, node } of told) {
      expect(node["dependentRequired"], path).toEqual({
        webhook_events_filter: ["webhook"],
        webhook_secret: ["webhook"],
      });
    }
  });

  it("hold no task that is the operator's alone", () => {
    expect(JSON.stringify(json)).not.toContain("noop");
  });
});
