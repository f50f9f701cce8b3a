/**
 * Relations read the other way round, as further examples: a text whose marks are exchanged has its label's other
 * direction. Directions are written as in SemEval-2010 task 8, `Cause-Effect(e1,e2)` and `Cause-Effect(e2,e1)`; where
 * one of them has few examples, it is learnt from those of the other.
 */
import { randomFrom } from "#contract/random.ts";

const directions = ["(e1,e2)", "(e2,e1)"] as const;

/** What a text's marks say once they are exchanged. */
export function exchangeMarks(text: string): string {
  return text.replaceAll(/<(\/?)e([12])>/g, (_, slash: string, part: string) =>
    part === "1" ? `<${slash}e2>` : `<${slash}e1>`,
  );
}

function mirrorOf(label: string): string | null {
  const [forth, back] = directions;
  if (label.endsWith(forth)) return label.slice(0, -forth.length) + back;
  return label.endsWith(back) ? label.slice(0, -back.length) + forth : null;
}

/**
 * Of each label the index of what it is once the marks are exchanged; null: it is not known, or none of these labels.
 * Null for all: no label has another direction.
 * @param noRelation a label that is the same either way
 */
export function mirroredLabels(
  labels: readonly string[],
  noRelation: string | null,
): (number | null)[] | null {
  const indexOf = new Map(labels.map((label, at) => [label, at]));
  const mirrors = labels.map((label) => indexOf.get(mirrorOf(label) ?? "") ?? null);
  if (mirrors.every((mirror) => mirror === null)) return null;
  return mirrors.map((mirror, at) => (labels[at] === noRelation ? at : mirror));
}

/** Of a batch's examples. */
const mirroredShare = 0.5;

/** Which of a batch's so many examples are read the other way round. */
export function drawMirrored(count: number, draw: number): boolean[] {
  const random = randomFrom(draw);
  return Array.from({ length: count }, () => random() < mirroredShare);
}
