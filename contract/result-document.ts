/**
 * A result in object storage: newline-delimited JSON, so that whoever shows it need not hold it. The first line is the
 * result but for its outputs, each further line one output, in order; every line ends with a newline. Written by the
 * worker, and by the edge where a result came inline that is too large to lie in a row. Example: golden/result-document.ndjson.
 */
import * as z from "zod";
import { JobResult } from "./events.ts";

export const resultDocumentType = "application/x-ndjson";

/** Of the first line; warnings are what can make it long. */
export const resultHeadBytesMax = 1024 * 1024;

export const ResultHead = JobResult.omit({ outputs: true });
export type ResultHead = z.infer<typeof ResultHead>;

/** Where the document of a job's result is kept. */
export function resultDocumentKey(jobId: string): string {
  return `jobs/results/${jobId}.ndjson`;
}

/** @returns the lines of the document, each with its newline */
export function* resultDocumentLines({ outputs, ...head }: JobResult): Generator<string> {
  yield `${JSON.stringify(head)}\n`;
  for (const output of outputs) yield `${JSON.stringify(output)}\n`;
}
