/**
 * A line's fields as an example of the file's form, or what is wrong with them. What only the fields together tell (a
 * span outside its text) a worker looks at.
 */
import type * as z from "zod";
import { formOf, renameFields } from "./form-of.ts";
import { fieldsOf, type FormName, forms, formSchemas, type Line } from "./forms.ts";
import type { Fields } from "./json-line.ts";
import { trainingLimits } from "./limits.ts";
import type { Fault } from "./problems.ts";
import { kindOf, pathInWords, typeInWords } from "./value-words.ts";

export type ReadLine<F extends FormName> = { line: Line<F> } | { faults: Fault[] };

/** Fields whose white space alone is as good as nothing. */
const texts = ["text", "text_pair", "negative", "label", "question", "context", "completion"];

export function readLine<F extends FormName>(form: F, given: Fields): ReadLine<F> {
  const fields = renameFields(given);
  const mixed = mixedForm(form, fields);
  if (mixed !== null) return { faults: [{ code: "mixed_form", found: mixed, expected: form }] };
  const blank = texts.find((name) => {
    const value = fields[name];
    return Object.hasOwn(fields, name) && typeof value === "string" && value.trim() === "";
  });
  if (blank !== undefined) return { faults: [{ code: "empty", field: blank }] };
  const other = otherLabel(form, fields);
  if (other !== null) return { faults: [other] };
  const parsed = formSchemas[form].safeParse(fields, { reportInput: true });
  if (parsed.success) return { line: parsed.data };
  const faults = parsed.error.issues
    .slice(0, trainingLimits.problemsPerLineMax)
    .map((issue) => faultOf(form, issue));
  return { faults };
}

/** Which other form the line has; null: it is of the file's, however wrong. */
function mixedForm(form: FormName, fields: Fields): FormName | null {
  const found = formOf(fields);
  if (found === null || found === form) return null;
  if (form === "text" || (form === "single-label" && found === "relation")) return found;
  const { required } = fieldsOf(form);
  return required.some((name) => Object.hasOwn(fields, name)) ? null : found;
}

/** A number where the file's labels are strings, or the other way round: it is there, under the name of the other. */
function otherLabel(form: FormName, { label, score }: Fields): Fault | null {
  const { required } = fieldsOf(form);
  if (required.includes("label") && label === undefined && typeof score === "number") {
    const expected = form === "multi-label" ? `a list: ["${score}"]` : `a string: "${score}"`;
    return { code: "wrong_type", field: "label", found: "a number", expected };
  }
  if (!required.includes("score") || score !== undefined || typeof label !== "string") return null;
  return { code: "wrong_type", field: "label", found: "a string", expected: "a number" };
}

type Issue = z.core.$ZodIssue;

function faultOf(form: FormName, issue: Issue, outer: readonly PropertyKey[] = []): Fault {
  const path = [...outer, ...issue.path];
  const field = pathInWords(path);
  switch (issue.code) {
    case "invalid_union":
      return faultOfUnion(form, issue, path);
    case "too_small":
      return issue.origin === "string" || issue.origin === "array"
        ? { code: "empty", field }
        : {
            code: "invalid_value",
            field,
            found: String(issue.input),
            expected: `${issue.minimum} or more`,
          };
    case "too_big":
      return { code: "too_long", field, expected: `${issue.maximum} ${partsOf(issue.origin)}` };
    case "unrecognized_keys":
      return { code: "unknown_field", field: pathInWords([...path, issue.keys[0] ?? ""]) };
    case "invalid_value":
      if (issue.input === undefined) break;
      return {
        code: "invalid_value",
        field,
        found: shown(issue.input),
        expected: anyOf(issue.values),
      };
    default:
  }
  const type = "expected" in issue ? typeInWords(String(issue.expected)) : "its form has it";
  if (issue.input !== undefined) {
    return { code: "wrong_type", field, found: kindOf(issue.input), expected: type };
  }
  return { code: "missing", field, expected: path.length === 1 ? exampleOf(form, field) : type };
}

function partsOf(origin: string): string {
  return origin === "string" ? "characters" : "entries";
}

/** Of the alternatives the one that the value is of, but for something inside. */
function faultOfUnion(
  form: FormName,
  issue: Extract<Issue, { code: "invalid_union" }>,
  path: readonly PropertyKey[],
): Fault {
  const inner = issue.errors.find(([first]) => first !== undefined && first.path.length > 0)?.[0];
  if (inner !== undefined) return faultOf(form, inner, path);
  const field = pathInWords(path);
  const expected = field === "answers" ? exampleOf(form, field) : "a string";
  if (issue.input === undefined) return { code: "missing", field, expected };
  return { code: "wrong_type", field, found: kindOf(issue.input), expected };
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number"
    ? JSON.stringify(value)
    : kindOf(value);
}

function anyOf(values: readonly unknown[]): string {
  return values.map((value) => String(value)).join(", ");
}

/** As in `"label": "positive"`. */
function exampleOf(form: FormName, field: string): string {
  const example: Fields = { ...forms[form].example };
  return `"${field}": ${JSON.stringify(example[field])}`;
}
