/**
 * The forms in which callers give texts: one, several, one as token ids, several as token ids. The form is told by the
 * first value and then held to, so that what is wrong is said of the form that was meant.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { TaskInput } from "#contract/tasks.ts";
import { Text } from "#contract/tasks/fields.ts";
import { validate } from "../http/validation.ts";

const tokens = z.array(z.int().nonnegative()).min(1);

export const TextForms = {
  text: Text.meta({ title: "text" }),
  texts: z.array(Text).min(1).max(limits.inputsMax).meta({ title: "texts" }),
  tokens: tokens.meta({ title: "token ids of one text" }),
  tokenLists: z.array(tokens).min(1).max(limits.inputsMax).meta({ title: "token ids of texts" }),
} as const;

export type TextInputs = {
  inputs: TaskInput<"feature-extraction">[];
  /** The caller gave one text, not a list of them. */
  single: boolean;
};

/** @param field the name of the value in the body @throws CodedError */
export function readTexts(value: unknown, field: string): TextInputs {
  if (!Array.isArray(value)) {
    return { inputs: [readOne(value, field)], single: true };
  }
  checkCount(value, field);
  if (typeof value[0] === "number") {
    return { inputs: [validate(TextForms.tokens, value, [field])], single: true };
  }
  if (Array.isArray(value[0])) {
    return { inputs: validate(TextForms.tokenLists, value, [field]), single: false };
  }
  return { inputs: validate(TextForms.texts, value, [field]), single: false };
}

export function holdsTokenIds({ inputs }: TextInputs): boolean {
  return inputs.some((input) => typeof input !== "string");
}

function readOne(value: unknown, field: string): string {
  if (value === undefined || typeof value === "string") {
    return validate(TextForms.text, value, [field]);
  }
  const given = value === null ? "null" : `a value of type ${typeof value}`;
  throw new CodedError(
    "invalid_value",
    `${field} is ${given}. Send a string, an array of strings, an array of token ids, or an array of such arrays.`,
    { param: field },
  );
}

/** Before any item is looked at: a body may hold millions. */
function checkCount(value: readonly unknown[], field: string): void {
  const ids = typeof value[0] === "number";
  const max = ids ? limits.tokensPerRequestMax : limits.inputsMax;
  if (value.length <= max) return;
  throw new CodedError(
    "invalid_value",
    `${field} has ${value.length} ${ids ? "token ids" : "items"}; the limit of one request is ${max}. ` +
      "Send it in several requests.",
    { param: field },
  );
}
