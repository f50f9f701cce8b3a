/**
 * Inputs and parameters of a task, out of the fields a body holds them in. The number of inputs is looked at before any
 * of them: a body may hold millions.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import { taskTable } from "#contract/task-table.ts";
import type { Task, TaskInput, TaskParameters } from "#contract/tasks.ts";
import { validate } from "../http/validation.ts";

/** A list of inputs, as published. */
export function listOf<T extends z.ZodType>(input: T): z.ZodArray<T> {
  return z.array(input).min(1).max(limits.inputsMax);
}

const AnyList = z.array(z.unknown()).min(1);

/** @throws CodedError that names what of `field` is wrong */
export function readList<T>(input: z.ZodType<T>, value: unknown, field: string): T[] {
  checkCount(value, field);
  const list = validate(AnyList, value, [field]);
  return list.map((item, index) => validate(input, item, [field, index]));
}

/** One input, or a list of them. @param input must take no array where a list is to be told from it */
export function readOneOrList<T>(
  input: z.ZodType<T>,
  value: unknown,
  field: string,
): { inputs: T[]; single: boolean } {
  if (Array.isArray(value)) return { inputs: readList(input, value, field), single: false };
  return { inputs: [validate(input, value, [field])], single: true };
}

export function readInputs<T extends Task>(task: T, value: unknown, field: string): TaskInput<T>[] {
  return readList(taskTable[task].input, value, field);
}

/**
 * @param at where the parameters stand in the body; absent or null, they are read as none, so that those required are
 * named
 */
export function readParameters<T extends Task>(
  task: T,
  value: unknown,
  at: readonly string[],
): TaskParameters<T> {
  return validate(taskTable[task].parameters, value ?? {}, [...at]);
}

/** @throws CodedError where a list holds more than one request may */
export function checkCount(value: unknown, field: string): void {
  if (!Array.isArray(value) || value.length <= limits.inputsMax) return;
  throw new CodedError(
    "invalid_value",
    `${field} has ${value.length} items; the limit of one request is ${limits.inputsMax}. Send it in several requests.`,
    { param: field },
  );
}
