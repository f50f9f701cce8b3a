/** Fields that several tasks share. */
import * as z from "zod";
import { limits } from "../limits.ts";

/** A text a model reads. Empty ones are refused. */
export const Text = z.string().min(1).max(limits.stringCharactersMax);

export const TruncationDirection = z.enum(["left", "right"]);

/** Cut inputs that are too long instead of refusing them. */
export const truncate = z.boolean().optional();

/** Answers kept, the best first. */
export const topK = z.int().positive().max(1_000).optional();

/**
 * What `start` and `end` count: code points, as `[...text].slice(start, end)` takes them (the default), or UTF-16 code units,
 * as `text.slice(start, end)` does.
 */
export const offsetUnit = z.enum(["code-point", "utf-16"]).optional();

/** The name of a class. */
export const LabelName = z.string().min(1).max(1_000);

/** For `superRefine` of a list in the parameters: together its texts stay within a queue message, whatever their script. */
export function boundTogether(texts: readonly string[], context: z.RefinementCtx): void {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  if (characters <= limits.listParameterCharactersMax) return;
  context.addIssue({
    code: "custom",
    message: `it holds ${characters} characters in all, at most ${limits.listParameterCharactersMax} are taken: leave some out`,
  });
}

export const Label = z.object({ label: z.string(), score: z.number() });
export type Label = z.infer<typeof Label>;

const offset = z.int().nonnegative();

/** A part of a text: `word` is what stands there, `start` to `end` where. */
export const Span = z.object({ word: z.string(), start: offset, end: offset });
