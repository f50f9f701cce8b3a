/**
 * `label_names` of a tuning job: the names of its classes, in the order of their indices. A label of the data is one of
 * them, or the place of one, counted from 0, as files have it whose labels are numbers.
 */
import { cutText } from "../cut-text.ts";
import type { FormName } from "./forms.ts";
import type { FileReport } from "./report.ts";

const namesShown = 10;
const shownCharactersMax = 80;

/** Of a regression the numbers are places. */
const namedForms: readonly FormName[] = [
  "single-label",
  "multi-label",
  "regression",
  "relation",
  "tags",
  "spans",
];

/** Of tags the kinds of entities are named, and have no number. */
const kindsAlone: readonly FormName[] = ["tags", "spans"];

/** @returns its index; null: it is unknown */
export function placeOfLabel(
  names: readonly string[],
  label: string,
  form: FormName,
): number | null {
  const named = names.indexOf(label);
  if (named !== -1) return named;
  if (kindsAlone.includes(form)) return null;
  return /^(?:0|[1-9]\d{0,3})$/.test(label) && Number(label) < names.length ? Number(label) : null;
}

/** The first name that is there twice; undefined: none is. */
export function nameGivenTwice(names: readonly string[]): string | undefined {
  return names.find((name, at) => names.indexOf(name) !== at);
}

/** What is wrong with the names for such a file, as its report tells; null: nothing that it tells. */
export function labelNamesProblem(
  names: readonly string[],
  { form, labels }: Pick<FileReport, "form" | "labels">,
): string | null {
  if (form === null) return null;
  if (!namedForms.includes(form)) {
    return (
      `label_names goes with examples that have labels, and these are of the form ${form}. ` +
      'Leave it out, or write labels as strings: "label": "1".'
    );
  }
  if (form === "regression") return null;
  const unknown = (labels ?? [])
    .map(({ label }) => label)
    .filter((label) => placeOfLabel(names, label, form) === null);
  return unknown.length === 0 ? null : unknownLabels(names, unknown, form);
}

/** @param unknown labels of the data, not all of them where there are many */
export function unknownLabels(
  names: readonly string[],
  unknown: readonly string[],
  form: FormName,
): string {
  const kinds = kindsAlone.includes(form)
    ? " Of tags it names the kinds of entities: PER, not B-PER."
    : "";
  return (
    `label_names has no ${listed(unknown)}, which the examples have. It names ${listed(names)}: ` +
    `add what is missing, or take those examples out.${kinds}`
  );
}

/** Names that no example has; as of many: the first of them. Null: there are none. */
export function unusedNames(
  names: readonly string[],
  { form, labels }: Pick<FileReport, "form" | "labels">,
): string | null {
  if (form === null || labels === null || form === "regression") return null;
  const used = new Set(labels.map(({ label }) => placeOfLabel(names, label, form)));
  const unused = names.filter((_, at) => !used.has(at));
  if (unused.length === 0) return null;
  return `no example has the label ${listed(unused)} of label_names, so that nothing is learnt of it`;
}

function listed(names: readonly string[]): string {
  const shown = names
    .slice(0, namesShown)
    .map((name) => JSON.stringify(cutText(name, shownCharactersMax)));
  const more = names.length > namesShown ? ` and ${names.length - namesShown} more` : "";
  return shown.join(", ") + more;
}
