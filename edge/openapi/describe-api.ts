/**
 * The OpenAPI 3.1 document, made from the schemas that requests are parsed with: what it says is what is enforced.
 * 3.1 takes JSON Schema 2020-12 as it is, which is what zod writes.
 */
import * as z from "zod";
import { errorTable } from "#contract/errors.ts";
import { type Operation, operations } from "./operations.ts";
import { ErrorResponse, HuggingFaceErrorResponse, JobResponse } from "./response-schemas.ts";

const description =
  "Language models over HTTPS, compatible with OpenAI's and Hugging Face's clients. Without a key a caller has the free tier of its address. null for a field that may be left out counts as its absence; bodies may be sent as gzip.";

/** @param url where the API is served, without a slash at its end */
export function describeApi(url: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: describe(operation) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "LLM OS", version: "0.1.0", description, license: licence },
    servers: [{ url }],
    security: [{}, { key: [] }],
    paths,
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}

const licence = { name: "Apache-2.0", identifier: "Apache-2.0" };

function describe(operation: Operation): object {
  const { id, summary, request, response } = operation;
  return {
    operationId: id,
    summary,
    parameters: parametersOf(operation),
    ...(request === undefined
      ? {}
      : { requestBody: { required: true, content: json(request, "input") } }),
    responses: {
      "200": { description: "Done", content: json(response, "output") },
      ...others(operation),
    },
  };
}

function parametersOf({ path, job, request, query = [], headers = {} }: Operation): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
    ...(name === "model"
      ? { description: "Id or alias; a hub id's slash may stand as it is." }
      : {}),
  }));
  const inQuery = query.map((name) => ({
    name,
    in: "query",
    required: true,
    schema: { type: "string" },
  }));
  const strict = { name: "strict", in: "query", schema: { type: "string", enum: ["1"] } };
  const prefer = {
    name: "Prefer",
    in: "header",
    description: "respond-async: answer 202 at once. wait=N: answer 202 after N seconds.",
    schema: { type: "string" },
  };
  const inHeaders = Object.entries(headers).map(([name, { description: says, schema }]) => ({
    name,
    in: "header",
    description: says,
    schema: schemaOf(schema, "input"),
  }));
  return [
    ...inPath,
    ...inQuery,
    ...(request === undefined ? [] : [strict]),
    ...(job ? [prefer] : []),
    ...inHeaders,
  ];
}

/** Every status an error of ours can have here, each told in one body. */
function others({ path, job, request }: Operation): Record<string, object> {
  const body = json(path.startsWith("/hf/") ? HuggingFaceErrorResponse : ErrorResponse, "output");
  const statuses = new Set(Object.values(errorTable).map(({ status }) => status));
  if (!job) for (const status of [408, 409, 413, 415, 504] as const) statuses.delete(status);
  if (request === undefined) for (const status of [400, 429] as const) statuses.delete(status);
  const errors = [...statuses].map((status): [string, object] => [
    String(status),
    { description: codesOf(status), content: body },
  ]);
  const accepted: [string, object][] = job
    ? [["202", { description: "Accepted, as Prefer asked", content: json(JobResponse, "output") }]]
    : [];
  return Object.fromEntries([...accepted, ...errors]);
}

function codesOf(status: number): string {
  const codes = Object.entries(errorTable).filter(([, row]) => row.status === status);
  return codes.map(([code]) => code).join(", ");
}

function json(schema: z.ZodType, io: "input" | "output"): object {
  return { "application/json": { schema: schemaOf(schema, io) } };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): object {
  const { $schema: _, ...plain } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return plain;
}
