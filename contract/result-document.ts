/**
 * The result of a computation as it travels and is kept: newline-delimited JSON, so that whoever shows it need not hold
 * it. The first line is the result but for its outputs, each further line one output, in order; every line ends with a
 * newline. Written once, by the worker, and sent with the event where it is small, else put in object storage. Example:
 * golden/result-document.ndjson.
 */
import * as z from "zod";
import { cutWarnings } from "./cut-text.ts";
import { type Task, type TaskOutput, Task as TaskSchema } from "./tasks.ts";

export const Usage = z.object({
  /**
   * Tokens that were read, special tokens and what neighbouring windows share included, each time they were read; of
   * tokenize those made, of detokenize those given. What the caller is charged in units.
   */
  promptTokens: z.int().nonnegative(),
  /** Tokens that were generated, of all choices: charged as those that were read. Absent: none. */
  completionTokens: z.int().nonnegative().optional(),
  /** Of the prompt's, those whose keys and values were there from another request. Absent: none. */
  cachedTokens: z.int().nonnegative().optional(),
  /** Of the completion's, those that a structure left no choice of: made without a step of the model. Absent: none. */
  forcedTokens: z.int().nonnegative().optional(),
  /** Inputs that were cut, as the request allowed. Absent: none. */
  truncatedInputs: z.int().positive().optional(),
});
export type Usage = z.infer<typeof Usage>;

export const JobResult = z.object({
  task: TaskSchema,
  model: z.string().max(200),
  /**
   * Digest of weights and compute form: part of the cache key and of `system_fingerprint`. Where other models had a
   * part in it, theirs too: see `joinDigests`.
   */
  modelDigest: z.string().min(1).max(200),
  /** One output per input, in order; parsed by the task's own schema where it is rendered. */
  outputs: z.array(z.unknown()),
  usage: Usage,
  /** Promises not kept to the letter (truncation, ignored fields), for `x-warnings`. */
  warnings: z.array(z.string()).overwrite(cutWarnings),
  /** How it was computed where a task has several ways ("entailment", "similarity"), for the header `x-method`. */
  method: z.string().max(50).optional(),
});
export type JobResult = z.infer<typeof JobResult>;
export type JobResultOf<T extends Task> = Omit<JobResult, "outputs"> & { outputs: TaskOutput<T>[] };

export const ResultHead = JobResult.omit({ outputs: true });
export type ResultHead = z.infer<typeof ResultHead>;

export const resultDocumentType = "application/x-ndjson";

/** Of the first line; warnings are what can make it long. */
export const resultHeadBytesMax = 1024 * 1024;

/** The text of a document; its outputs are read by whoever shows them. */
export const ResultDocument = z.string().refine(hasHead, "its first line is no head of a result");

/** Where the document of a job's result is kept. */
export function resultDocumentKey(jobId: string): string {
  return `jobs/results/${jobId}.ndjson`;
}

export function resultDocument({ outputs, ...head }: JobResult): string {
  return [head, ...outputs].map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** @returns the head, and the lines of the outputs @throws where the first line is no head */
export function openResultDocument(document: string): { head: ResultHead; lines: string } {
  const end = document.indexOf("\n");
  if (end === -1) throw new Error("a result document has no first line");
  return {
    head: ResultHead.parse(JSON.parse(document.slice(0, end))),
    lines: document.slice(end + 1),
  };
}

function hasHead(document: string): boolean {
  try {
    openResultDocument(document);
    return true;
  } catch {
    return false;
  }
}
