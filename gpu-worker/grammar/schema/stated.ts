/** What several schemas of one value say with each keyword. */
import { StructureError } from "../expression.ts";
import { readRegex } from "../read-regex.ts";
import { type Except, type Located, pathTo } from "./located.ts";
import type { Node } from "./node.ts";

/** Reads what values inside must be. */
export type Inside = (all: readonly Located[]) => Node;

export type Base = Located & { readonly schema: Readonly<Record<string, unknown>> };

export class Stated {
  readonly bases: readonly Base[];
  readonly #excepts: readonly Except[];

  constructor(bases: readonly Located[]) {
    this.bases = bases.flatMap((base) =>
      typeof base.schema === "boolean" ? [] : [{ ...base, schema: base.schema }],
    );
    this.#excepts = bases.flatMap(({ except }) => except ?? []);
  }

  all(keyword: string): { value: unknown; path: string; of: Base }[] {
    return this.bases.flatMap((of) =>
      of.schema[keyword] === undefined
        ? []
        : [{ value: of.schema[keyword], path: pathTo(of.path, keyword), of }],
    );
  }

  excepts<Kind extends Except["kind"]>(kind: Kind): Extract<Except, { kind: Kind }>[] {
    return this.#excepts.filter(
      (each): each is Extract<Except, { kind: Kind }> => each.kind === kind,
    );
  }

  get hasExcepts(): boolean {
    return this.#excepts.length > 0;
  }

  numbers(keyword: string): number[] {
    return this.all(keyword).map(({ value, path }) => {
      if (typeof value === "number" && Number.isFinite(value)) return value;
      throw new StructureError(`${keyword} is no number`, path);
    });
  }

  counts(keyword: string): number[] {
    return this.all(keyword).map(({ value, path }) => {
      if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
      throw new StructureError(`${keyword} is no whole number from 0`, path);
    });
  }

  texts(keyword: string): { value: string; path: string }[] {
    const seen = new Set<unknown>();
    return this.all(keyword).flatMap(({ value, path }) => {
      if (typeof value !== "string") throw new StructureError(`${keyword} is no text`, path);
      if (seen.has(value)) return [];
      seen.add(value);
      return [{ value, path }];
    });
  }
}

export const least = (values: readonly number[]) =>
  values.length === 0 ? null : Math.min(...values);
export const most = (values: readonly number[]) => Math.max(0, ...values);

export function expectReadable({ value, path }: { value: string; path: string }): void {
  try {
    readRegex(value, { anywhere: true });
    // JavaScript's reading is the one that values of an enum are tested with.
    RegExp(value, "u");
  } catch (error) {
    throw new StructureError(error instanceof Error ? error.message : String(error), path);
  }
}
