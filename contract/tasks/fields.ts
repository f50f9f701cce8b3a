/** Fields that several tasks share. */
import * as z from "zod";
import { limits } from "../limits.ts";

export const Text = z
  .string()
  .min(1)
  .max(limits.stringCharactersMax)
  .describe("A text for the model to read. An empty one is refused.");

export const TruncationDirection = z
  .enum(["left", "right"])
  .describe("The side on which a text that is too long is cut. Default: right.");

export const truncate = z
  .boolean()
  .optional()
  .describe("Cut texts that are too long instead of refusing them.");

export const topK = z
  .int()
  .positive()
  .max(1_000)
  .optional()
  .describe("How many answers are kept, the best first.");

export const offsetUnit = z
  .enum(["code-point", "utf-16"])
  .optional()
  .describe(
    "What places in the text are counted in: code points, as Python does (the default), or UTF-16 code units, as " +
      "JavaScript does.",
  );

export const LabelName = z.string().min(1).max(1_000).describe("The name of a class.");

/** For `recognise`: inputs of this shape, one or a list of them, told by the first. */
export function inputsLike<T extends z.ZodType>(input: T) {
  return z.looseObject({ inputs: z.union([input, z.tuple([input]).rest(z.unknown())]) });
}

/**
 * For `superRefine` of a list in the parameters: together its texts stay within a queue message, whatever their script.
 */
export function boundTogether(texts: readonly string[], context: z.RefinementCtx): void {
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  const charactersMax = limits.listParameterCharactersMax;
  if (characters <= charactersMax) return;
  context.addIssue({
    code: "custom",
    message: `it holds ${characters} characters in all, at most ${charactersMax} are taken: leave some out`,
  });
}

export const Label = z.object({
  label: z.string().describe("The class."),
  score: z.number().describe("How well it fits, the higher the better."),
});
export type Label = z.infer<typeof Label>;

const offset = z.int().nonnegative();

/** A part of a text. */
export const Span = z.object({
  word: z.string().describe("What stands there."),
  start: offset.describe("Where it begins."),
  end: offset.describe("Where it ends, exclusive."),
});
