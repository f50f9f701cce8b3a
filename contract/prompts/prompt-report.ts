/** What an evaluation of a prompt says. Bounded whatever the examples: texts are cut, and the worst misses kept. */
import * as z from "zod";
import { evaluationLimits } from "./evaluation-plan.ts";
import { Prompt } from "./prompt.ts";

/** In UTF-16 units, of texts of examples. */
export const shownCharactersMax = 400;

const share = z.number().min(0).max(1);
const count = z.int().nonnegative();
const shown = z.string().max(shownCharactersMax);

export const Accuracy = z.object({
  value: share.describe("Of the examples, those that are right."),
  low: share.describe("Where Wilson's interval begins."),
  high: share.describe("Where it ends."),
  level: share.describe("Of such intervals, so many hold the true share."),
});
export type Accuracy = z.infer<typeof Accuracy>;

export const PromptClass = z.object({
  label: z.string().describe("The class."),
  precision: share.describe("Of the answers that name it, those that are right."),
  recall: share.describe("Of the examples that are of it, those that are right."),
  f1: share.describe("The harmonic mean of both."),
  support: count.describe("Examples that are of it."),
});

export const PromptMiss = z.object({
  index: count.describe("Of the example, as it was sent."),
  variables: shown.describe("Its variables as JSON, cut."),
  expected: shown.describe("What the answer was to be."),
  answer: shown.describe("What it was."),
  score: share
    .nullable()
    .describe(
      "Of a label the probability that the model gave it, of a text its F1 in words. Null: not known.",
    ),
});
export type PromptMiss = z.infer<typeof PromptMiss>;

export const PromptFigures = z.object({
  examples: count.describe("Examples that were judged."),
  right: count.describe("Those that are right: the label, or the text after normalisation."),
  accuracy: Accuracy.describe("The share of those, and how sure that is."),
  exact_match: share.describe("Of the examples, those that are answered to the letter."),
  word_f1: share
    .nullable()
    .describe("Mean F1 of words, as SQuAD counts it. Null: the answers are labels."),
  classes: z
    .array(PromptClass)
    .nullable()
    .describe("Each class, as scikit-learn's report has it. Null: the answers are texts."),
  macro_f1: share.nullable().describe("Mean F1 of the classes. Null: the answers are texts."),
  misses: z
    .array(PromptMiss)
    .max(evaluationLimits.missesMax)
    .describe("The worst: labels by the model's confidence, texts by how little they share."),
});
export type PromptFigures = z.infer<typeof PromptFigures>;

export const PromptCandidate = z.object({
  wording: z.string().describe("Which wording: as written, one of ours, or one of the caller's."),
  shots: count.describe("Examples that it shows."),
  examples: count.describe("Examples that it was judged on."),
  right: count.describe("Those that were right."),
});
export type PromptCandidate = z.infer<typeof PromptCandidate>;

export const Difference = z.object({
  value: z.number().min(-1).max(1).describe("Accuracy of the winner less that of the baseline."),
  low: z.number().min(-1).max(1).describe("Where the paired bootstrap's interval begins."),
  high: z.number().min(-1).max(1).describe("Where it ends."),
  level: share.describe("Of resamples, so many lie between."),
  draws: count.describe("Resamples."),
});

export const Optimisation = z.object({
  shots_from: count.describe("Examples that shots were chosen from."),
  judged_on: count.describe("Examples that candidates were judged on."),
  held_out: count.describe("Examples that no candidate saw, which the figures are of."),
  split_seed: z.int().describe("What divided them."),
  candidates: z
    .array(PromptCandidate)
    .describe("All that were tried; the first is the prompt itself."),
  baseline: Accuracy.describe("Of the prompt itself, on what was held out."),
  winner: PromptCandidate.extend({
    accuracy: Accuracy.describe("On what was held out."),
  }).describe("The best of the candidates."),
  difference: Difference.describe("Of both on the same examples."),
  better: z
    .boolean()
    .describe("Whether the winner is another than the prompt, and the interval lies above zero."),
  prompt: Prompt.nullable().describe("The winner. Null: it is the prompt itself."),
});
export type Optimisation = z.infer<typeof Optimisation>;

export const PromptReport = z.object({
  constrained: z.boolean().describe("Whether nothing but a label could be written."),
  figures: PromptFigures.describe(
    "Of the prompt on all examples; with an optimisation of the better one on what was held out.",
  ),
  optimisation: Optimisation.nullable().describe("What else was tried. Null: nothing was."),
  cost: z
    .object({
      calls: count.describe("Answers that were written."),
      prompt_tokens: count.describe("Tokens read."),
      completion_tokens: count.describe("Tokens written."),
      units: count.describe("What it costs: both."),
    })
    .describe("What it took."),
});
export type PromptReport = z.infer<typeof PromptReport>;
