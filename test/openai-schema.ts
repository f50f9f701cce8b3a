/**
 * OpenAI's own description of its API as an oracle: what is wrong of an answer by one of its schemas. It lies in a
 * folder beside the repository, if it is there.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";

const file = path.resolve(import.meta.dirname, "../../shared/spec/openai-openapi.json");

/** Why the oracle is not to be had; null: it is here. */
export const noSchemas = existsSync(file) ? null : `no ${path.basename(file)} in shared/spec`;
if (noSchemas !== null) console.log(`Skipped: OpenAI's schemas, ${noSchemas}`);

type SchemaName =
  | "CreateChatCompletionRequest"
  | "CreateChatCompletionResponse"
  | "CreateChatCompletionStreamResponse"
  | "CreateCompletionResponse"
  | "CreateEmbeddingResponse"
  | "ListModelsResponse"
  | "Model"
  | "ErrorResponse"
  | "Response"
  | "ResponseStreamEvent"
  | "ResponseItemList"
  | "DeleteModelResponse"
  | "OpenAIFile"
  | "ListFilesResponse"
  | "DeleteFileResponse"
  | "FineTuningJob"
  | "ListPaginatedFineTuningJobsResponse"
  | "ListFineTuningJobEventsResponse"
  | "ListFineTuningJobCheckpointsResponse";

let made: Ajv2020 | null = null;

/** @returns what is wrong, one line each; nothing where the value is as it should be */
export function wrongBy(name: SchemaName, value: unknown): string[] {
  made ??= load();
  const validate = made.getSchema(`openai#/components/schemas/${name}`);
  if (validate === undefined) throw new Error(`OpenAI has no schema ${name}`);
  if (validate(value) === true) return [];
  const errors = validate.errors ?? [];
  return errors.map(({ instancePath, message }) => `${instancePath}: ${message ?? ""}`);
}

function load(): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  const document: unknown = JSON.parse(readFileSync(file, "utf8"));
  ajv.addSchema({ components: schemasOf(document) }, "openai");
  return ajv;
}

function schemasOf(document: unknown): unknown {
  const { components } = document as { components: { schemas: unknown } };
  return { schemas: inWordsOf31(components.schemas) };
}

/** The document says 3.1, where null is a type and a bound excludes itself, and often words both as 3.0 does. */
function inWordsOf31(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inWordsOf31);
  if (typeof value !== "object" || value === null) return value;
  const { nullable, ...schema } = Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, inWordsOf31(part)]),
  );
  const { exclusiveMinimum, minimum, ...rest } = schema;
  const bounded = exclusiveMinimum === true ? { ...rest, exclusiveMinimum: minimum } : schema;
  return nullable === true ? { anyOf: [bounded, { type: "null" }] } : bounded;
}
