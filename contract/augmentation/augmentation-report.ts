/** What an augmentation made: the candidates that were kept, with their scores, and why the others were not. */
import * as z from "zod";
import { editMethods, writingMethods } from "./augmentation-plan.ts";

export const Method = z.enum([...editMethods, ...writingMethods]);

const share = z.number();

export const CandidateScores = z.object({
  similarity: share.describe("Cosine of its sentence vector with its source's."),
  label: share.describe("What the judge gives to its label."),
  source_label: share.describe("What the judge gives to the same label of its source."),
});
export type CandidateScores = z.infer<typeof CandidateScores>;

export const KeptCandidate = z.object({
  text: z.string().describe("The new example's text."),
  label: z.string().describe("Its label: its source's."),
  source: z.int().nonnegative().describe("Index of its source in examples."),
  method: Method.describe("How it was made."),
  scores: CandidateScores.describe("By which it was kept."),
});
export type KeptCandidate = z.infer<typeof KeptCandidate>;

export const rejections = [
  "not_made",
  "too_long",
  "duplicate",
  "near_copy",
  "too_far",
  "label_changed",
  "label_score",
] as const;
export type Rejection = (typeof rejections)[number];

const count = z.int().nonnegative();

export const Rejected = z.object({
  not_made: count.describe("Nothing could be edited, or the model wrote nothing of use."),
  too_long: count.describe("Longer than a text of an example may be."),
  duplicate: count.describe("A text that is among the examples, or the candidates before it."),
  near_copy: count.describe(
    "Closer to its source, or to another candidate of it, than similarity_max.",
  ),
  too_far: count.describe("Further from its source than similarity_min."),
  label_changed: count.describe("The judge gives another label, and did not of its source."),
  label_score: count.describe("The judge gives its label less than label_score_min."),
});
export type Rejected = z.infer<typeof Rejected>;

export const AugmentationReport = z.object({
  judge: z
    .object({
      model: z.string().describe("Its id."),
      by: z
        .enum(["classifier", "entailment", "similarity"])
        .describe("Its own classes; or the labels' names, by entailment or by sentence vectors."),
    })
    .describe("What said whether labels were preserved."),
  tried: count.describe("Candidates that were tried."),
  kept: count.describe("And kept."),
  rejected: Rejected.describe("The others, by the first reason that was found."),
  methods: z
    .array(
      z.object({
        method: Method.describe("Which."),
        tried: count.describe("Candidates that it was to make."),
        kept: count.describe("And that were kept."),
      }),
    )
    .describe("The same, by method."),
  cost: z
    .object({
      answers: count.describe("That the generator wrote."),
      prompt_tokens: count.describe("Read by all models."),
      completion_tokens: count.describe("Written by the generator."),
    })
    .describe("What it took."),
  examples: z
    .array(
      z.object({
        text: z.string().describe("As given."),
        label: z.string().describe("Its label."),
      }),
    )
    .describe("The sources, in their order."),
  candidates: z.array(KeptCandidate).describe("Those kept, in the order of their sources."),
});
export type AugmentationReport = z.infer<typeof AugmentationReport>;
