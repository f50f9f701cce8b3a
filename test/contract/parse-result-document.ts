/** A result document, read whole: in the product, whoever shows one reads it line by line. */
import { JobResult } from "../../contract/result-document.ts";

export function parseResultDocument(document: string): JobResult {
  if (!document.endsWith("\n")) throw new Error("its last line has no end");
  const lines = document.slice(0, -1).split("\n");
  const [head, ...outputs] = lines.map((line) => JSON.parse(line));
  return JobResult.parse({ ...head, outputs });
}
