/** Texts for benchmarks: whole data sets lie beside the repository and are not ours to ship. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import * as z from "zod";

export const sharedFolder = path.resolve(import.meta.dirname, "..", "..", "..", "shared");

const Line = z.object({ text: z.string(), label: z.string() });
export type LabelledText = z.infer<typeof Line>;

/** The first `count` lines of a data set. @throws where it is not here */
export function labelledTexts(file: string, count: number): LabelledText[] {
  const full = path.join(sharedFolder, "data", file);
  if (!existsSync(full)) {
    throw new Error(`needs ${path.join("..", "shared", "data", file)} beside the repository`);
  }
  const lines = readFileSync(full, "utf8")
    .split("\n", count)
    .filter((line) => line !== "");
  return lines.map((line) => Line.parse(JSON.parse(line)));
}

function firstTexts(file: string, count: number): string[] {
  return labelledTexts(file, count).map(({ text }) => text);
}

/** `count` texts, short film reviews (SST-2) and longer news (AG News) in turn. */
export function mixedTexts(count: number): string[] {
  const reviews = firstTexts("sst2/dev.jsonl", count / 2);
  const news = firstTexts("agnews/train.jsonl", count / 2);
  return reviews.flatMap((review, i) => [review, news[i] ?? review]);
}
