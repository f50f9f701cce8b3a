/**
 * A body against its schema. The first thing wrong is told in words that name the field, the limit and the fix; which
 * is why no schema's own message reaches a caller unread. Every public body passes here, so here `null` counts as the
 * absence of a field that may be left out: many clients write every field they know.
 */
import * as z from "zod";
import { CodedError, type ErrorCode } from "#contract/errors.ts";

type Issue = z.core.$ZodIssue;
type Explanation = { code: ErrorCode; text: string };

/** @param at the path of `value` inside the body @throws CodedError */
export function validate<T>(schema: z.ZodType<T>, value: unknown, at: PropertyKey[] = []): T {
  const parsed = schema.safeParse(withoutNulls(schema, value), { reportInput: true });
  if (parsed.success) return parsed.data;
  throw explainIssue(tightest(parsed.error.issues), at);
}

/** The first; of several limits that the same value is over, the lowest. */
function tightest(issues: readonly Issue[]): Issue | undefined {
  const [first] = issues;
  if (first?.code !== "too_big") return first;
  const place = JSON.stringify(first.path);
  const limits = issues.flatMap((each) =>
    each.code === "too_big" && JSON.stringify(each.path) === place ? [each] : [],
  );
  return limits.toSorted((a, b) => Number(a.maximum) - Number(b.maximum))[0];
}

/**
 * Of an object, and those in its fields. A required field that is null stays, and is told of; so does one that may hold
 * anything here, which its own reader judges.
 */
function withoutNulls(schema: z.core.$ZodType, value: unknown): unknown {
  if (!(schema instanceof z.ZodObject) || !isObject(value)) return value;
  const fields = Object.entries(value).flatMap(([name, given]) => {
    const field = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
    if (field === undefined) return [[name, given]];
    const optional = field instanceof z.ZodOptional;
    const own = optional ? field.unwrap() : field;
    if (optional && given === null && !(own instanceof z.ZodUnknown)) return [];
    return [[name, withoutNulls(own, given)]];
  });
  return Object.fromEntries(fields);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `input[3].text`; of the body itself, "the body". */
export function fieldName(path: readonly PropertyKey[]): string {
  const name = path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`,
    "",
  );
  return name === "" ? "the body" : name;
}

function explainIssue(issue: Issue | undefined, at: readonly PropertyKey[]): CodedError {
  if (issue === undefined) return new CodedError("invalid_value", "The body is not valid.");
  if (issue.code === "unrecognized_keys") return unknownField(issue, at);
  if (issue.code === "invalid_union") {
    // A field of the form that was meant is named itself.
    const nearest = nearestOf(issue);
    if (typeof nearest?.path[0] === "string") return explainIssue(nearest, [...at, ...issue.path]);
  }
  const path = [...at, ...issue.path];
  const field = fieldName(path);
  const { code, text } = explain(issue, field);
  return new CodedError(code, text, path.length === 0 ? {} : { param: field.slice(0, 200) });
}

function unknownField(issue: Issue & { code: "unrecognized_keys" }, at: readonly PropertyKey[]) {
  const key = (issue.keys[0] ?? "").slice(0, 100);
  const field = fieldName([...at, ...issue.path, key]);
  return new CodedError(
    "unknown_parameter",
    `Unknown parameter: ${field}. This endpoint has none of that name: remove it, or check its spelling.`,
    { param: field },
  );
}

function explain(issue: Issue, field: string): Explanation {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? missing(field, article(issue.expected))
        : wrong(
            `${field} is ${nameOf(issue.input)} where ${article(issue.expected)} is expected. Send ` +
              `${article(issue.expected)}.`,
          );
    case "too_small":
      return tooSmall(issue, field);
    case "too_big":
      return tooBig(issue, field);
    case "invalid_value":
      return notOneOf(field, issue.values);
    case "invalid_union":
      return explainUnion(issue, field);
    case "invalid_format":
      return wrong(
        issue.format === "regex"
          ? `${field} is not valid: ${issue.message}. Correct it.`
          : `${field} is not of the form ${issue.format}. Correct it.`,
      );
    case "invalid_key":
      return wrong(
        `${field} has a name that is not valid: ${issue.issues[0]?.message ?? issue.message}. Rename it.`,
      );
    default:
      return wrong(`${field} is not valid: ${issue.message}. Correct it.`);
  }
}

function tooBig(issue: Issue & { code: "too_big" }, field: string): Explanation {
  if (issue.inclusive === false && issue.origin === "number")
    return wrong(`${field} must be less than ${issue.maximum}. Send a smaller number.`);
  return wrong(
    `${field} is over its limit of ${quantity(issue.maximum, issue.origin)}. Send at most that.`,
  );
}

function tooSmall(issue: Issue & { code: "too_small" }, field: string): Explanation {
  if (issue.inclusive === false) {
    return wrong(`${field} must be greater than ${issue.minimum}. Send a larger number.`);
  }
  const empty = Number(issue.minimum) === 1 && issue.origin !== "number" && issue.origin !== "int";
  return wrong(
    empty
      ? `${field} is empty. Send at least ${quantity(1, issue.origin)}, or leave it out.`
      : `${field} is below its limit of ${quantity(issue.minimum, issue.origin)}. Send at least that.`,
  );
}

type UnionIssue = Issue & { code: "invalid_union" };

/** Of the forms a value may have, what is wrong of the one that was meant: it got furthest, and says what it is. */
function nearestOf({ errors }: UnionIssue): Issue | undefined {
  const inside = errors.filter((issues) => issues[0] !== undefined && issues[0].path.length > 0);
  const isOther = ({ code, path }: Issue) => code === "invalid_value" && path.length === 1;
  const meant = inside.find((issues) => !issues.some(isOther)) ?? inside[0];
  return (meant ?? errors.find((issues) => issues[0]?.code !== "invalid_type"))?.[0];
}

/** What is wrong of the form that was meant; failing that, all are named. */
function explainUnion(issue: UnionIssue, field: string): Explanation {
  if ("options" in issue) return wrongOption(issue.options, issue, field);
  const forms = formsOf(issue);
  if (issue.input === undefined) return missing(field, forms);
  const nearest = nearestOf(issue);
  // A single word that is known says less than all forms that there are.
  const isWord = nearest?.code === "invalid_value" && nearest.path.length === 0;
  if (nearest !== undefined && !(isWord && nearest.values.length === 1)) {
    const path = nearest.path.map((key) =>
      typeof key === "number" ? `[${key}]` : `.${String(key)}`,
    );
    return explain(nearest, `${field}${path.join("")}`);
  }
  return wrong(`${field} must be ${forms}. Send one of these.`);
}

function formsOf({ errors }: UnionIssue): string {
  const forms = errors.flatMap(([first]) => {
    if (first === undefined || first.path.length > 0) return [];
    if (first.code === "invalid_type") return [article(first.expected)];
    return first.code === "invalid_value" ? [list(first.values)] : [];
  });
  return [...new Set(forms)].join(" or ");
}

/** Of forms that a field tells apart: it has none of the values that are known. */
function wrongOption(options: readonly unknown[], { input, path }: UnionIssue, field: string) {
  const name = path.at(-1);
  const given = isObject(input) && typeof name === "string" ? input[name] : undefined;
  return given === undefined ? missing(field, `one of ${list(options)}`) : notOneOf(field, options);
}

function notOneOf(field: string, values: readonly unknown[]): Explanation {
  return wrong(
    values.length === 1
      ? `${field} must be ${list(values)}. Send that.`
      : `${field} must be one of ${list(values)}. Send one of these.`,
  );
}

function list(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join(", ");
}

function missing(field: string, what: string): Explanation {
  const text = `Missing required parameter: ${field}. Send ${what}.`;
  return { code: "missing_required_parameter", text };
}

function wrong(text: string): Explanation {
  return { code: "invalid_value", text };
}

function article(type: string): string {
  // Of a field that its own reader judges.
  if (type === "nonoptional") return "a value for it";
  if (type === "int") return "a whole number";
  if (type === "record") return "an object";
  return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
}

function nameOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  // As a text of an address is read.
  if (Number.isNaN(value)) return "no number";
  if (typeof value === "number" && !Number.isFinite(value)) return "too large a number";
  return article(typeof value);
}

function quantity(count: number | bigint, origin: string): string {
  const unit = { string: "characters", array: "items" }[origin];
  const singular = { string: "character", array: "item" }[origin];
  if (unit === undefined) return String(count);
  return `${count} ${Number(count) === 1 ? singular : unit}`;
}
