/**
 * Fields of a published schema that a model here cannot act on, and that change what the caller gets: refused by name,
 * unless they ask for nothing.
 */
import * as z from "zod";
import { CodedError } from "#contract/errors.ts";
import { fieldName } from "../http/validation.ts";

/** Each field with what it may say because that is what happens in any case. */
export type Unsupported = Readonly<Record<string, z.ZodOptional>>;

/** @param at the path of `value` inside the body @throws CodedError `unsupported_parameter` */
export function refuseUnsupported(
  fields: Unsupported,
  value: unknown,
  at: readonly PropertyKey[] = [],
): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(fields, name) || given === null) continue;
    if (fields[name]?.safeParse(given).success === false) throw unsupported([...at, name]);
  }
}

/** @param path of what is not supported, inside the body */
export function unsupported(path: readonly PropertyKey[], fix = "Leave it out."): CodedError {
  const field = fieldName(path);
  return new CodedError("unsupported_parameter", `${field} is not supported here. ${fix}`, {
    param: field.slice(0, 200),
  });
}
