/** What a caller says of an answer: the correct one, which is an example to train with, or whether it was good. */
import type { Task } from "#contract/tasks.ts";
import { formOf, renameFields } from "#contract/training/form-of.ts";
import { type FormName, forms, type TrainingTask } from "#contract/training/forms.ts";
import { type Fields, parseJsonLine } from "#contract/training/json-line.ts";
import { type Fault, problemAt } from "#contract/training/problems.ts";
import { readLine } from "#contract/training/read-line.ts";
import type { Metadata } from "../fine-tuning/tuning-job.ts";

export const feedbackLimits = {
  /** Of one model or alias. */
  rowsMax: 10_000,
  /** Of all that a key keeps, as JSON. */
  bytesMax: 100_000_000,
  /** Models and aliases of which something is kept: those that were deleted count too. */
  namesMax: 200,
} as const;

export type FeedbackKind = "example" | "up" | "down";

export type Feedback = {
  /** Of the model, or of the alias as it is called. */
  model: string;
  kind: FeedbackKind;
  /** Null: a rating. */
  form: FormName | null;
  /** Of what was asked, so that it is found again. */
  digest: string;
  /** Of an example the line of a training file; of a rating what was asked. JSON. */
  line: string;
  metadata: Metadata | null;
};

export type ReadExample = { form: FormName; line: string } | { problem: string };

/** The task by which models are listed that were trained for another; absent: of the same name. */
const listedAs: Partial<Record<TrainingTask, Task>> = {
  chat: "chat-completion",
  completion: "text-generation",
};

const noForm =
  "input and its correction are no example of a training file. Send label or score with a text; of other tasks the " +
  "fields of input, and those of the right answer in correct: tokens and tags, question, context and answers.";

/** @param tasks of the model */
export function readExample(fields: Fields, tasks: readonly Task[]): ReadExample {
  const parsed = parseJsonLine(JSON.stringify(fields));
  if ("fault" in parsed) return { problem: wordsOf(parsed.fault) };
  const form = formOf(renameFields(parsed.fields));
  if (form === null || form === "text") return { problem: noForm };
  const { task } = forms[form];
  const wanted = listedAs[task] ?? task;
  if (!tasks.some((each) => each === wanted)) {
    return {
      problem: `This is an example for ${task}, and the model does ${tasks.join(", ")}. Send one for that.`,
    };
  }
  const read = readLine(form, parsed.fields);
  if ("line" in read) return { form, line: JSON.stringify(read.line) };
  const [first] = read.faults;
  return { problem: first === undefined ? noForm : wordsOf(first) };
}

/** @returns why it cannot be kept; null: it can */
export function inputProblem(fields: Fields): string | null {
  const parsed = parseJsonLine(JSON.stringify(fields));
  return "fault" in parsed ? wordsOf(parsed.fault) : null;
}

function wordsOf(fault: Fault): string {
  const { message, fix } = problemAt(null, fault);
  return `${message}: ${fix}`;
}

export async function digestOf(fields: Fields): Promise<string> {
  const sorted = Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const bytes = new TextEncoder().encode(JSON.stringify(sorted));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
