/** The figures of held-out rows, by kind of task. */
import type { HeldOut } from "./held-out.ts";
import { measureClasses, measureLabelSets, measureTags } from "./measure-classes.ts";
import {
  measureAnswers,
  measureSimilarities,
  measureTexts,
  measureValues,
} from "./measure-numbers.ts";
import { measureRanks } from "./measure-ranks.ts";
import type { Measured } from "./measured.ts";

export function measure(heldOut: HeldOut): Measured {
  switch (heldOut.kind) {
    case "classes":
      return measureClasses(heldOut);
    case "label_sets":
      return measureLabelSets(heldOut);
    case "tags":
      return measureTags(heldOut);
    case "answers":
      return measureAnswers(heldOut);
    case "similarities":
      return measureSimilarities(heldOut);
    case "values":
      return measureValues(heldOut);
    case "texts":
      return measureTexts(heldOut);
    case "ranks":
      return measureRanks(heldOut);
  }
}
