/** The classes of entailment against transformers' entailment_id, and where its pipeline looks for contradiction. */
import { expect, it } from "vitest";
import { entailmentClasses } from "../../contract/entailment.ts";

it.each<[string[], { entailment: number; contradiction: number } | null]>([
  [["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], { entailment: 2, contradiction: 0 }],
  [["entailment", "neutral", "contradiction"], { entailment: 0, contradiction: 2 }],
  [["contradiction", "entailment", "neutral"], { entailment: 1, contradiction: 0 }],
  [["entailment", "not_entailment"], { entailment: 0, contradiction: 1 }],
  [["not_entailment", "entailment"], { entailment: 1, contradiction: 0 }],
  [["neutral", "contradicts", "entails"], { entailment: 2, contradiction: 1 }],
  // That entailment stands somewhere in a name says nothing of the class.
  [["not_entailment", "non-entailment"], null],
  [["unentailed", "is entailed"], null],
  [["entailment"], null],
  [["negative", "positive"], null],
])("%j", (labels, classes) => {
  expect(entailmentClasses(labels)).toEqual(classes);
});
