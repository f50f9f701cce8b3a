/**
 * The OpenAPI 3.1 document, made from the schemas that requests are parsed with: what it says is what is enforced.
 * 3.1 takes JSON Schema 2020-12 as it is, which is what zod writes.
 */
import type * as z from "zod";
import { TokenIdVocabulary } from "#contract/tasks/feature-extraction.ts";
import type { ErrorForm } from "../answers/error-forms.ts";
import { errorFormAt } from "../answers/surfaces.ts";
import { headerComponents, headerRefs, headersOf } from "../http/response-headers.ts";
import { tokenIdsHeader } from "../tasks/token-ids.ts";
import { Components, pascalCase } from "./components.ts";
import { errorComponents, errorComponentName } from "./error-responses.ts";
import { jobId, unfinishedJobExample } from "./examples.ts";
import { modelResponseId } from "./model-response-operations.ts";
import { fileId } from "./file-operations.ts";
import { tuningJobId } from "./fine-tuning-operations.ts";
import { type Operation, tags } from "./operation.ts";
import { operations } from "./operations.ts";
import { promptId } from "./prompt-operations.ts";
import {
  CohereErrorResponse,
  ErrorResponse,
  HuggingFaceErrorResponse,
  JobResponse,
} from "./response-schemas.ts";

const description =
  "Language models over HTTPS, compatible with OpenAI's and Hugging Face's clients. Without a key a " +
  "caller has the free tier of its address. null for a field that may be left out counts as its absence; " +
  "bodies may be sent as gzip.";
const licence = { name: "Apache-2.0", identifier: "Apache-2.0" };

let made: object | null = null;

/** @param url where the API is served, without a slash at its end */
export function describeApi(url: string): object {
  made ??= new Description().make();
  const contact = { name: "Whoever runs this platform", url };
  return {
    openapi: "3.1.0",
    info: { title: "LLM OS", version: "0.1.0", description, contact, license: licence },
    servers: [{ url }],
    ...made,
  };
}

class Description {
  readonly #requests = Components.ofRequests();
  readonly #responses = Components.ofResponses();

  make(): object {
    const paths: Record<string, Record<string, object>> = {};
    for (const operation of operations) {
      const { path, method } = operation;
      paths[path] = { ...paths[path], [method]: this.#describe(operation) };
    }
    const shapes = {
      openai: this.#responses.refTo(ErrorResponse, "Error"),
      cohere: this.#responses.refTo(CohereErrorResponse, "CohereError"),
      "hugging-face": this.#responses.refTo(HuggingFaceErrorResponse, "HuggingFaceError"),
    } satisfies Record<ErrorForm["name"], object>;
    return {
      security: [{}, { key: [] }],
      tags: Object.entries(tags).map(([name, text]) => ({ name, description: text })),
      paths,
      components: {
        securitySchemes: {
          key: { type: "http", scheme: "bearer", description: "The operator's key." },
        },
        parameters,
        headers: headerComponents,
        responses: errorComponents(shapes),
        schemas: { ...this.#requests.schemas(), ...this.#responses.schemas() },
      },
    };
  }

  #describe(operation: Operation): object {
    const { id, tag, summary, request, headers, errors, path } = operation;
    const name = pascalCase(id);
    const form = errorFormAt(path);
    return {
      operationId: id,
      tags: [tag],
      summary,
      description: operation.description,
      ...(operation.open === true ? { security: [{}] } : {}),
      parameters: parametersOf(operation),
      ...(request === undefined ? {} : { requestBody: this.#body(operation, request, name) }),
      responses: {
        "200": {
          description: "Done",
          headers: headerRefs(headersOf[headers]),
          content: this.#content(operation, name),
        },
        ...(operation.job === true ? { "202": this.#accepted() } : {}),
        ...Object.fromEntries(
          errors.map((status) => [
            String(status),
            { $ref: `#/components/responses/${errorComponentName(status, form)}` },
          ]),
        ),
      },
    };
  }

  /** The answer whole, and as a stream where it can be one. */
  #content({ response, event, example, binary }: Operation, name: string): object {
    if (binary === true) {
      const schema = { type: "string", format: "binary" };
      return { "application/octet-stream": { schema, example: example.response } };
    }
    const whole =
      response === undefined
        ? {}
        : json(this.#responses.refTo(response, `${name}Response`), example.response);
    if (event === undefined) return whole;
    const schema = this.#responses.refTo(event, `${name}Event`);
    return { ...whole, "text/event-stream": { schema, example: example.event } };
  }

  #body({ form, example }: Operation, request: z.ZodType, name: string): object {
    const schema = this.#requests.refTo(request, `${name}Request`);
    const content =
      form === true
        ? { "multipart/form-data": { schema, example: example.request } }
        : json(schema, example.request);
    return { required: true, description: "What is asked for.", content };
  }

  #accepted(): object {
    return {
      description: "Accepted, as Prefer asked",
      headers: headerRefs(headersOf.accepted),
      content: json(this.#responses.refTo(JobResponse, "Job"), unfinishedJobExample("starting")),
    };
  }
}

const parameters = {
  model: {
    name: "model",
    in: "path",
    required: true,
    description: "Id or alias of a model; a hub id's slash may stand as it is.",
    schema: { type: "string", minLength: 1 },
    example: "all-MiniLM-L6-v2",
  },
  job: {
    name: "job",
    in: "path",
    required: true,
    description: "The job's id.",
    schema: { type: "string", pattern: String.raw`^job_\d{1,4}_[0-9a-f]{32}$` },
    example: jobId,
  },
  file: {
    name: "file",
    in: "path",
    required: true,
    description: "The file's id.",
    schema: { type: "string", pattern: "^file-[0-9a-f]{32}$" },
    example: fileId,
  },
  fine_tuning_job: {
    name: "fine_tuning_job",
    in: "path",
    required: true,
    description: "The fine-tuning job's id.",
    schema: { type: "string", pattern: "^ftjob-[0-9a-f]{32}$" },
    example: tuningJobId,
  },
  alias: {
    name: "alias",
    in: "path",
    required: true,
    description: "The alias, also as it is called: with ft:@ before it.",
    schema: { type: "string", minLength: 1 },
    example: "mood",
  },
  response: {
    name: "response",
    in: "path",
    required: true,
    description: "The response's id.",
    schema: { type: "string", pattern: "^resp_[0-9a-f]{32}$" },
    example: modelResponseId,
  },
  prompt: {
    name: "prompt",
    in: "path",
    required: true,
    description: "The prompt's id.",
    schema: { type: "string", minLength: 1 },
    example: promptId,
  },
  version: {
    name: "version",
    in: "path",
    required: true,
    description: "The version's number.",
    schema: { type: "integer", minimum: 1 },
    example: 1,
  },
  strict: {
    name: "strict",
    in: "query",
    description:
      "1: refuse fields that are accepted and not acted on. Anything else has no effect.",
    schema: { type: "string" },
  },
  prefer: {
    name: "Prefer",
    in: "header",
    description: "respond-async: answer 202 at once. wait=N: answer 202 after N seconds.",
    schema: { type: "string" },
    example: "wait=10",
  },
  idempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Names what is created: sent again with the same body within 24 hours, it is answered by what it made. " +
      "Absent: only a client that counts its tries in X-Stainless-Retry-Count, as OpenAI's do, is answered so.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "8e03978e-40d5-43e8-bc93-6894a57f9324",
  },
  lastEventId: {
    name: "Last-Event-ID",
    in: "header",
    description: "Number of an event: those after it are told. Absent: all are.",
    schema: { type: "string", pattern: String.raw`^\d{1,9}$` },
    example: "3",
  },
  tokenIds: {
    name: tokenIdsHeader,
    in: "header",
    description:
      "In whose vocabulary token ids are. either, the default: the model's own where they carry its " +
      "special tokens at both ends, else cl100k_base.",
    schema: { type: "string", enum: TokenIdVocabulary.options },
    example: "model",
  },
} as const;

function ref(parameter: string): object {
  return { $ref: `#/components/parameters/${parameter}` };
}

function parametersOf(operation: Operation): object[] {
  const { path, job, model, strict, query = {}, header } = operation;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) =>
    name === "model" && model !== undefined
      ? { ...parameters.model, example: model }
      : ref(String(name)),
  );
  const inQuery = Object.entries(query).map(([name, { description: told, example, optional }]) => ({
    name,
    in: "query",
    required: optional !== true,
    description: told,
    schema: { type: "string" },
    example,
  }));
  return [
    ...inPath,
    ...inQuery,
    ...(strict === true ? [ref("strict")] : []),
    ...(job === true ? [ref("prefer")] : []),
    ...(header === undefined ? [] : [ref(header)]),
  ];
}

function json(schema: object, example: unknown): object {
  return { "application/json": { schema, example } };
}
