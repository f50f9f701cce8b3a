/**
 * Texts that a grammar allows, as expressions: what structures of every kind are read into, and what the matcher, the
 * way to an end and the shortest text are all made from. Rules may refer to each other and to themselves.
 */
import type { CharacterSet } from "./character-set.ts";

export type Expression =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly options: readonly Expression[] }
  /** `max` null: without end. */
  | {
      readonly kind: "repeat";
      readonly part: Expression;
      readonly min: number;
      readonly max: number | null;
    }
  | { readonly kind: "rule"; readonly name: string }
  /**
   * Characters of a JSON string, so many. The matcher takes any number: masks are counted beside it, because a
   * matcher's states for each count take seconds to compile.
   */
  | { readonly kind: "counted"; readonly min: number; readonly max: number | null }
  /** An automaton that reads characters, and begins in its first state. */
  | { readonly kind: "states"; readonly states: readonly TextState[] };

export type TextState = {
  readonly ends: boolean;
  readonly next: readonly { readonly set: CharacterSet; readonly to: number }[];
};

export type Grammar = {
  readonly root: string;
  readonly rules: ReadonlyMap<string, Expression>;
  /** Where in a schema those come from that do, as JSON pointers. */
  readonly places?: ReadonlyMap<string, string>;
};

/** A structure that cannot be kept to: the caller's fault, in words for the caller. */
export class StructureError extends Error {
  /** Where in a schema, as a JSON pointer. Null: as a whole, or no schema. */
  readonly path: string | null;

  constructor(message: string, path: string | null = null) {
    super(message);
    this.path = path;
  }
}

export const empty: Expression = { kind: "sequence", parts: [] };
export const never: Expression = { kind: "choice", options: [] };

export function text(value: string): Expression {
  return value === "" ? empty : { kind: "text", text: value };
}

export function set(of: CharacterSet): Expression {
  return of.length === 0 ? never : { kind: "set", set: of };
}

export function sequence(...parts: readonly Expression[]): Expression {
  if (parts.some(isNever)) return never;
  const flat = parts.flatMap((part) => (part.kind === "sequence" ? part.parts : [part]));
  const [only] = flat;
  return flat.length === 1 && only !== undefined ? only : { kind: "sequence", parts: flat };
}

export function choice(...options: readonly Expression[]): Expression {
  const flat = options.flatMap((option) => (option.kind === "choice" ? option.options : [option]));
  const [only] = flat;
  return flat.length === 1 && only !== undefined ? only : { kind: "choice", options: flat };
}

export function repeat(part: Expression, min: number, max: number | null): Expression {
  if (max === 0) return empty;
  if (isNever(part)) return min === 0 ? empty : never;
  return min === 1 && max === 1 ? part : { kind: "repeat", part, min, max };
}

export function optional(part: Expression): Expression {
  return repeat(part, 0, 1);
}

export function rule(name: string): Expression {
  return { kind: "rule", name };
}

export function isNever(expression: Expression): boolean {
  return expression.kind === "choice" && expression.options.length === 0;
}
