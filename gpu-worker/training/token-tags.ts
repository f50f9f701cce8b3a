/**
 * Classification of tokens as the loop trains and judges it: the first token of a word has the word's tag, others do
 * not count (Devlin et al., https://arxiv.org/abs/1810.04805, 5.3). Words are answered by their first tokens' classes,
 * the likeliest that IOB2 allows, as the service answers under `aggregation_strategy: "first"`.
 */
import { majorityPredictions } from "../evaluation/held-out.ts";
import { outsideTag } from "../evaluation/tag-counts.ts";
import { iob2Path } from "../pipelines/iob2-path.ts";
import { softmax } from "../tensor/activations.ts";
import { int64 } from "../tensor/tensor.ts";
import type { TokenData } from "./token-data.ts";
import { encodeTagged } from "./token-rows.ts";
import type { TaggedRow, TaggedText } from "./token-rows.ts";
import { picked, taggedRows } from "./served-rows.ts";
import type { HeldOutPart, TaskData, TuningData } from "./training-task.ts";

/** torch.nn.CrossEntropyLoss's. */
const notCounted = -100;

/** Classes of so many kinds of entity: O, and a beginning and an inside of each. */
export function tagsOf(kinds: readonly string[]): string[] {
  return [outsideTag, ...kinds.flatMap((kind) => [`B-${kind}`, `I-${kind}`])];
}

type Part = { readonly rows: readonly TaggedRow[] };

/** @param labels all tags, by class */
export function tagTask(
  texts: readonly TaggedText[],
  labels: readonly string[],
): Part & { readonly data: TaskData } {
  const classOf = new Map(labels.map((label, at) => [label, at]));
  const labelled = texts.flatMap(({ rows, tags }) =>
    rows.map(({ ids, firsts }) => {
      const classes = ids.map(() => notCounted);
      // From the last, because of words that share a token the first has it.
      for (const { word, token } of firsts.toReversed()) {
        classes[token] = classOf.get(tags[word] ?? "") ?? notCounted;
      }
      return classes;
    }),
  );
  return {
    rows: texts.flatMap(({ rows }) => rows),
    data: {
      task: { name: "token-classification" },
      feeds(indices, longest) {
        const padded = indices.flatMap((at) => {
          const own = labelled[at] ?? [];
          return [...own, ...Array.from({ length: longest - own.length }, () => notCounted)];
        });
        return { labels: int64([indices.length, longest], padded) };
      },
    },
  };
}

/** A word that no token stands for is outside of all entities. */
function saidOf(
  { tags, rows }: TaggedText,
  logits: readonly Float32Array[],
  labels: readonly string[],
) {
  const said = tags.map(() => outsideTag);
  for (const [at, { firsts }] of rows.entries()) {
    const scores = firsts.map(({ token }) =>
      softmax(logits[at]?.subarray(token * labels.length, (token + 1) * labels.length) ?? []),
    );
    const classes = iob2Path(scores, labels);
    for (const [index, { word }] of firsts.entries()) {
      said[word] = labels[classes[index] ?? 0] ?? outsideTag;
    }
  }
  return said;
}

/** The majority is counted in the texts that are trained with. */
export function heldOutTags(
  texts: readonly TaggedText[],
  labels: readonly string[],
  trained: readonly TaggedText[],
): HeldOutPart {
  const { rows, data } = tagTask(texts, labels);
  const commonest = majorityPredictions(
    trained.flatMap(({ tags }) => tags),
    1,
  ).values[0];
  return {
    rows,
    examples: texts.length,
    take: (examples) => heldOutTags(picked(texts, examples), labels, trained),
    served: (model) => taggedRows(rows, model),
    data: {
      ...data,
      judge(logits) {
        let next = 0;
        const said = texts.map((each) => {
          const from = next;
          next += each.rows.length;
          return saidOf(each, logits.slice(from, next), labels);
        });
        return {
          kind: "tags",
          texts: texts.map(({ text }) => text),
          expected: texts.map(({ tags }) => tags),
          base: { values: texts.map(({ tags }) => tags.map(() => commonest ?? outsideTag)) },
          tuned: { values: said },
        };
      },
    },
  };
}

export function tokenTuning({ kinds, training, heldOut }: TokenData): TuningData {
  const labels = tagsOf(kinds);
  return {
    task: "token-classification",
    head: "token-classification",
    labels,
    outputs: labels.length,
    problem: "single_label",
    examples: training.length,
    async encode(model, signal) {
      const trained = await encodeTagged(training, model, signal);
      const judged = await encodeTagged(heldOut, model, signal);
      return {
        training: tagTask(trained, labels),
        heldOut: heldOutTags(judged, labels, trained),
      };
    },
  };
}
