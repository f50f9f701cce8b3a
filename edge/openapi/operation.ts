/** One operation as it is published, and the groups they stand in. */
import type * as z from "zod";
import type { headersOf } from "../http/response-headers.ts";

export type ErrorStatus = 400 | 401 | 403 | 404 | 408 | 409 | 413 | 415 | 429 | 500 | 504;

export const tags = {
  Chat: "What is said next, as OpenAI words it, whole or as it is written.",
  Embeddings: "Vectors of texts, as OpenAI words them.",
  "Hugging Face": "Tasks as Hugging Face's clients word them, one address for each.",
  Tasks: "Every task in one form: a batch of inputs for a model.",
  Rerank: "Documents by how well they answer a query.",
  Tokens: "Texts to the tokens of a model, and back.",
  Models: "What can be asked for.",
  Files: "What models are trained with, of a key.",
  "Fine-tuning": "Models trained on files, of a key, as OpenAI words it.",
  "Learning from use": "Names for tuned models, and what their answers should have been.",
  Prompts: "Messages that are kept, and how well they do.",
  Jobs: "Work that goes on after its call was answered.",
  Health: "Whether the platform answers.",
} as const;

export type Operation = {
  method: "get" | "post" | "delete";
  /** `{name}` for what varies. */
  path: string;
  id: string;
  tag: keyof typeof tags;
  summary: string;
  description: string;
  request?: z.ZodType;
  /** The request is a form, its field `file` a file. Absent: it is JSON. */
  form?: true;
  /** The answer is bytes. */
  binary?: true;
  /** The model of the example's address; absent: the one every platform has. */
  model?: string;
  /** It has fields that are accepted and not acted on, which strict=1 refuses. */
  strict?: true;
  /** Of what is asked for in the query: what each is, and one. */
  query?: Readonly<Record<string, { description: string; example: string; optional?: true }>>;
  /** A header that it alone takes. */
  header?: "tokenIds" | "lastEventId" | "idempotencyKey";
  /** Absent: it comes as a stream alone. */
  response?: z.ZodType;
  /** Of the answer as a stream, what each event holds; absent: it comes whole. */
  event?: z.ZodType;
  example: { request?: unknown; response?: unknown; event?: unknown };
  /** Statuses of errors that it can meet. */
  errors: readonly ErrorStatus[];
  /** Those of a 200. */
  headers: keyof typeof headersOf;
  /** It needs no key. */
  open?: true;
  /** The job may be asked for asynchronously, and then 202 and 504 carry its address. */
  job?: true;
};
