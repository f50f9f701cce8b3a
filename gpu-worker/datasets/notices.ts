/** What is no fault of a file and yet worth knowing before it is trained with. */
import { cutText } from "#contract/cut-text.ts";
import type { FileReport } from "#contract/training/report.ts";

type Facts = Omit<FileReport, "notices">;

const namesShown = 10;

/** So few scores, all of them whole numbers, are more often the numbers of classes. */
export const likelyClassesMax = 20;

/** @param scores those of a regression, as far as they are few */
export function noticesOf(facts: Facts, scores: ReadonlySet<string>): string[] {
  return [
    ...numbersOfClasses(scores),
    ...ignoredFields(facts),
    ...lookAlikes(facts),
    ...rareLabels(facts),
    ...repeats(facts),
    ...tooLong(facts),
  ];
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, namesShown).map((name) => cutText(name, 80));
  const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : "";
  return shown.join(", ") + more;
}

function numbersOfClasses(scores: ReadonlySet<string>): string[] {
  const few = scores.size > 0 && scores.size <= likelyClassesMax;
  if (!few || ![...scores].every((score) => /^-?\d+$/.test(score))) return [];
  const example = [...scores][0] ?? "";
  return [
    `the labels are ${scores.size} whole numbers, which a model learns to come near to; ` +
      `if they are classes, write them as strings: "label": "${example}"; or send their names as label_names`,
  ];
}

function ignoredFields({ ignored_fields: ignored, form }: Facts): string[] {
  if (ignored.length === 0) return [];
  const names = listed(ignored.map(({ name }) => name));
  const fields = ignored.length === 1 ? "the field" : "the fields";
  const plain = form === "text" ? "; a label would have to be named label" : "";
  return [`${fields} ${names} ${ignored.length === 1 ? "is" : "are"} not read${plain}`];
}

/** "Positive" and "positive " are two classes for a model. */
function lookAlikes({ labels }: Facts): string[] {
  const groups = Map.groupBy(labels ?? [], ({ label }) =>
    label
      .trim()
      .replaceAll(/[\s_-]+/g, " ")
      .toLowerCase(),
  );
  const alike = [...groups.values()].filter((group) => group.length > 1);
  return alike
    .slice(0, namesShown)
    .map(
      (group) =>
        `these labels look alike: ${listed(group.map((each) => JSON.stringify(each.label)))}`,
    );
}

function rareLabels({ labels }: Facts): string[] {
  const rare = (labels ?? []).filter(({ examples }) => examples === 1).map(({ label }) => label);
  return rare.length === 0 ? [] : [`only one example has the label ${listed(rare)}`];
}

function repeats({ repeats: { duplicates, conflicts } }: Facts): string[] {
  return [
    ...(duplicates > 0 ? [`${countOf(duplicates)} the same as an earlier one`] : []),
    ...(conflicts > 0
      ? [`${countOf(conflicts)} labelled otherwise than an earlier one of the same text`]
      : []),
  ];
}

function countOf(examples: number): string {
  return examples === 1 ? "1 example is" : `${examples} examples are`;
}

function tooLong({ tokens }: Facts): string[] {
  if (tokens === null || tokens.too_long === 0) return [];
  return [
    `${countOf(tokens.too_long)} longer than the ${tokens.model_reads} tokens the model reads, and would be cut`,
  ];
}
