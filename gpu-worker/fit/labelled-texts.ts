/**
 * Texts with their labels from JSON Lines. Bad lines are told all at once, each with what to do about it, and past a
 * screenful by how many lines each kind of fault is in; none is passed over.
 */
import * as z from "zod";

export type LabelledText = { text: string; label: string };

/** Names of the two fields that are read. */
export type FieldNames = { text: string; label: string };

const Line = z.record(z.string(), z.unknown());

const problemsShown = 20;

/** @throws Error that names each bad line */
export function readLabelledTexts(content: string, names: FieldNames): LabelledText[] {
  const rows: LabelledText[] = [];
  const problems: Problem[] = [];
  for (const [index, line] of content.split("\n").entries()) {
    if (line.trim() === "") continue;
    const read = readLine(line, names);
    if (typeof read === "string") problems.push({ line: index + 1, words: read });
    else rows.push(read);
  }
  if (problems.length > 0) {
    throw new Error(
      `${countOf(problems.length)} cannot be used:\n  ${wordsOf(problems).join("\n  ")}`,
    );
  }
  return rows;
}

type Problem = { line: number; words: string };

function countOf(lines: number): string {
  return lines === 1 ? "1 line" : `${lines} lines`;
}

function wordsOf(problems: readonly Problem[]): string[] {
  const shown = problems.slice(0, problemsShown).map(({ line, words }) => `line ${line}: ${words}`);
  const others = Map.groupBy(problems.slice(problemsShown), ({ words }) => words);
  const sums = [...others].map(([words, { length }]) => `and ${countOf(length)} more: ${words}`);
  return [...shown, ...sums];
}

/** @returns the row, or what is wrong with it */
function readLine(line: string, names: FieldNames): LabelledText | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return "it is not JSON. Write one object a line";
  }
  const parsed = Line.safeParse(value);
  if (!parsed.success || Array.isArray(value)) {
    return `it is no object. Write {"${names.text}": "…", "${names.label}": "…"}`;
  }
  const text = parsed.data[names.text];
  const label = parsed.data[names.label];
  if (typeof text !== "string" || text.trim() === "") return problemOf("text", names.text, text);
  if (typeof label !== "string" || label === "") return problemOf("label", names.label, label);
  return { text, label };
}

function problemOf(option: keyof FieldNames, name: string, value: unknown): string {
  if (value === undefined) {
    return `it has no "${name}". Add it, or name the field that holds it with --${option}`;
  }
  if (value === "" || typeof value === "string") return `"${name}" is empty. Take the line out`;
  return `"${name}" is ${value === null ? "null" : typeof value}. Write it as a string`;
}
