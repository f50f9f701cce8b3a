/**
 * Labelled examples out of a training file of the key: of each line the fields that are named as the prompt's
 * variables, and its answer. As many lines as an evaluation takes are read, and no more of the file.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { evaluationLimits } from "#contract/prompts/evaluation-plan.ts";
import type { PromptExample } from "#contract/prompts/prompt.ts";
import { Value, type VariablesSchema } from "#contract/prompts/variables.ts";
import { type Fields, parseJsonLine } from "#contract/training/json-line.ts";
import { keyOwner } from "../accounts/key-owner.ts";
import type { EdgeContext } from "../context.ts";
import { settingsOf } from "../environment.ts";
import { FileId } from "../files/stored-file.ts";
import { openObject } from "../storage/object-store.ts";

/** Read of a file at most; an evaluation holds far less. */
const bytesMax = 8 * 1024 * 1024;

/** The first that a line has. */
const answers = ["output", "label", "completion"] as const;
/** What a line calls the one variable of a prompt. */
const inputs = ["text", "prompt", "input"] as const;

/** The field of a body. @param lines what each is, how many are read */
export function fileOfExamples(lines: string) {
  return z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe(`In place of examples: a training file as JSON Lines${lines}`);
}

/** @throws CodedError where both are sent */
export function expectOne({ examples, file }: { examples?: unknown; file?: unknown }): void {
  if (examples !== undefined && file !== undefined)
    throw wrong("it stands beside examples. Send one of them");
}

/** @throws CodedError for a file that is none of the key's, or whose lines are no examples of the prompt */
export async function examplesOfFile(
  c: EdgeContext,
  id: string,
  variables: VariablesSchema,
): Promise<PromptExample[]> {
  const lines = await linesOfFile(c, id, evaluationLimits.examplesMax);
  return lines.map((line, index) => exampleOf(line, index + 1, variables));
}

/** The first lines that hold something. @throws CodedError for a file that is none of the key's */
export async function linesOfFile(c: EdgeContext, id: string, linesMax: number): Promise<string[]> {
  const tenant = keyOwner(c, "Files");
  const file = FileId.safeParse(id).success
    ? await c.env.FILES.getByName(tenant).find(tenant, id)
    : null;
  const chunks = file === null ? null : await openObject(settingsOf(c.env), file);
  if (file?.purpose !== "fine-tune" || chunks === null)
    throw wrong(`${id.slice(0, 100)} is no training file of this key. Name another: GET /v1/files`);
  return firstLines(chunks, linesMax);
}

async function firstLines(chunks: AsyncGenerator<Uint8Array>, linesMax: number): Promise<string[]> {
  const decoder = new TextDecoder();
  const lines: string[] = [];
  let [begun, bytes] = ["", 0];
  try {
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      const [first = "", ...others] = decoder.decode(chunk, { stream: true }).split("\n");
      begun += first;
      for (const next of others) {
        lines.push(begun);
        begun = next;
      }
      if (lines.length >= linesMax || bytes > bytesMax) break;
    }
  } finally {
    await chunks.return(undefined);
  }
  const whole = bytes > bytesMax ? lines : [...lines, begun];
  const read = whole.slice(0, linesMax);
  return read.filter((line) => line.trim() !== "");
}

function exampleOf(line: string, number: number, { properties }: VariablesSchema): PromptExample {
  const parsed = parseJsonLine(line);
  if ("fault" in parsed) throw wrong(`line ${number} is no JSON object. Upload JSON Lines`);
  const { fields } = parsed;
  const output = answers.map((name) => fields[name]).find((value) => value !== undefined);
  if (typeof output !== "string" || output === "")
    throw wrong(`line ${number} has no text as its ${answers.join(", ")}. Add one of these`);
  return { variables: valuesOf(fields, Object.keys(properties), number), output };
}

function valuesOf(fields: Fields, names: readonly string[], number: number) {
  const only = names.length === 1 ? inputs : [];
  const found = names.flatMap((name) => {
    // A variable may be called constructor.
    const field = [name, ...only].find((each) => Object.hasOwn(fields, each));
    if (field === undefined) return [];
    const value = fields[field];
    const read = Value.safeParse(value);
    if (!read.success) throw wrong(`line ${number} has a ${name} that is no text, number or list`);
    return [[name, read.data] as const];
  });
  return Object.fromEntries(found);
}

function wrong(problem: string): CodedError {
  return new CodedError("invalid_value", `file: ${problem}.`, { param: "file" });
}
