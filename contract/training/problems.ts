/**
 * The closed table of what can be wrong with a training file: each code with its words and with what to do. `{name}`
 * stands for what was found or is wanted there.
 */
import * as z from "zod";
import { cutText } from "../cut-text.ts";

type ProblemRow = { readonly message: string; readonly fix: string };

/** What is wrong with a file as a whole: it has no line. */
const fileProblems = {
  empty_file: { message: "the file has no examples", fix: "write one example a line" },
  file_too_large: {
    message: "the file has more than {expected} bytes",
    fix: "send fewer examples, or several files",
  },
  not_text: {
    message: "these are the bytes of {found}, not text",
    fix: "send the examples themselves as UTF-8 text: JSON Lines, CSV, TSV or CoNLL",
  },
  utf16: { message: "the file is UTF-16", fix: "save it as UTF-8" },
  json_document: {
    message: "the file is one JSON document, not JSON Lines",
    fix: "write each example as an object on a line of its own, with no list around them and no commas between them",
  },
  unknown_container: {
    message: "the file is neither JSON Lines, CSV, TSV nor CoNLL",
    fix: "write one JSON object a line; plain text to go on training with is a file whose name ends in .txt",
  },
  unknown_columns: {
    message: "the columns {found} are of no form",
    fix: "name them in the first line as one of: {expected}",
  },
  unknown_form: {
    message: "no line has the fields of a form; the first has {found}",
    fix: "give each line the fields of one form: {expected}",
  },
  too_few_examples: {
    message: "the file has {found} good examples",
    fix: "give {expected} or more",
  },
  too_many_examples: {
    message: "the file has more than {expected} examples; those from line {found} on were not read",
    fix: "leave some out",
  },
  single_class: {
    message: "all examples have the label {found}",
    fix: "give examples of two labels or more",
  },
  rest_not_read: {
    message: "nothing from line {found} on could be told apart",
    fix: "write double quotes inside a field twice, and put quotes around a field that holds a quote",
  },
} as const satisfies Record<string, ProblemRow>;

const lineProblems = {
  line_too_long: {
    message: "it has more than {expected} bytes",
    fix: "cut the text, or split it into several examples",
  },
  invalid_utf8: { message: "it has bytes that are no UTF-8", fix: "save the file as UTF-8" },
  nul_character: { message: "{field} holds a NUL character", fix: "take it out" },
  invalid_json: { message: "it is not JSON", fix: "write one JSON object, whole, on one line" },
  not_an_object: { message: "it is {found}, not an object", fix: "write an object: {expected}" },
  too_deep: {
    message: "lists and objects stand in each other more than {expected} deep",
    fix: "leave out fields that are no part of the form",
  },
  too_many_values: {
    message: "it holds more than {expected} values",
    fix: "split it into several examples",
  },
  duplicate_key: {
    message: "{field} stands twice in one object",
    fix: "leave one of them out",
  },
  mixed_form: {
    message: "it is of the form {found}, and the file of the form {expected}",
    fix: "write all examples in one form, or send two files",
  },
  missing: { message: "{field} is missing", fix: "add it: {expected}" },
  wrong_type: { message: "{field} is {found}", fix: "write it as {expected}" },
  empty: { message: "{field} is empty", fix: "fill it, or take the line out" },
  too_long: { message: "{field} is longer than {expected}", fix: "shorten it" },
  unknown_field: {
    message: "{field} is a field that is not known there",
    fix: "leave it out",
  },
  invalid_value: { message: "{field} is {found}", fix: "write {expected}" },
  column_count: {
    message: "it has {found} columns",
    fix: "write {expected} columns, as the lines before it have",
  },
  csv_quotes: {
    message: "its double quotes do not match",
    fix: "write a quote inside a field twice, and put quotes around the field",
  },
  lengths_differ: { message: "{field}: {found}", fix: "give one tag for each token" },
  unknown_tag: {
    message: "{field} is {found}",
    fix: "write O, B-LABEL or I-LABEL (IOB2)",
  },
  tag_continues_nothing: {
    message: "{field} is {found}, but no entity of its label comes before it",
    fix: "write {expected}",
  },
  span_outside: {
    message: "{field} is {found}, and the text has {expected} characters",
    fix: "count from 0, in code points, the end exclusive and behind the start",
  },
  span_blank: { message: "{field} holds white space alone", fix: "correct start and end" },
  spans_overlap: {
    message: "{field} overlaps another entity",
    fix: "keep one of the two: a character has one label",
  },
  answer_elsewhere: {
    message: "{field} does not stand at {found} in the context",
    fix: "{expected}",
  },
  wrong_marks: {
    message: "{field}: {found}",
    fix: "mark two parts of the text, each once: <e1>storm</e1> caused the <e2>flood</e2>",
  },
  no_assistant: {
    message: "messages has no message of the assistant to learn",
    fix: "add a message with role assistant, and do not give all of them the weight 0",
  },
  last_not_assistant: {
    message: "the last message is of the role {found}",
    fix: "end with a message of the assistant: what the model should say",
  },
  too_many_labels: {
    message: "{found} is one label too many",
    fix: "use at most {expected} labels",
  },
  unknown_label: {
    message: "the training file has no label {found}",
    fix: "correct it, or add examples of it to the training file",
  },
} as const satisfies Record<string, ProblemRow>;

export const problemTable = { ...fileProblems, ...lineProblems } as const;

export type ProblemCode = keyof typeof problemTable;

export const ProblemCode = z.enum(Object.keys(problemTable) as [ProblemCode, ...ProblemCode[]]);

export const Problem = z.object({
  line: z.int().positive().nullable().describe("Counted from 1. Null: the file as a whole."),
  code: ProblemCode.describe("What kind of problem it is."),
  field: z.string().nullable().describe("As in messages[2].content. Null: all of the line."),
  message: z.string().describe("What is wrong."),
  fix: z.string().describe("What to do about it."),
});
export type Problem = z.infer<typeof Problem>;

/** What stands in a row's places. */
export type ProblemDetails = { field?: string; found?: string; expected?: string };

/** What is wrong with a line, before anybody has said which. */
export type Fault = { readonly code: ProblemCode } & ProblemDetails;

/** Of what a file's own words take in a message. */
const detailCharactersMax = 200;

export function problemAt(line: number | null, { code, ...details }: Fault): Problem {
  const fill = (words: string) =>
    words.replaceAll(/\{(field|found|expected)\}/g, (_, name: keyof ProblemDetails) =>
      cutText(details[name] ?? "", detailCharactersMax),
    );
  const { message, fix } = problemTable[code];
  const field = details.field === undefined ? null : cutText(details.field, detailCharactersMax);
  return { line, code, field, message: fill(message), fix: fill(fix) };
}

/** In words for people: `line 17: label is missing: add it: "label": "positive"`. */
export function wordsOfProblem({ line, message, fix }: Problem): string {
  return line === null ? `${message}: ${fix}` : `line ${line}: ${message}: ${fix}`;
}
