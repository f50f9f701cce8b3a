/**
 * XGrammar's structural tags: free text, with parts between a begin and an end that have a structure of their own. What
 * a tag's part may hold is read as the structures are that are asked for by themselves.
 */
import * as z from "zod";
import {
  choice,
  empty,
  type Expression,
  optional,
  repeat,
  sequence,
  StructureError,
  text,
} from "./expression.ts";
import { freeText } from "./free-text.ts";

const nestingMax = 32;
const words = z.string().min(1).max(1_000);
const wordList = z.array(words).min(1).max(1_000);
/** What free text has none of. */
const excludes = z.array(words).max(1_000).optional();
const json = z.union([z.boolean(), z.record(z.string(), z.unknown())]);

const Tag = z.object({
  type: z.literal("tag").optional(),
  begin: z.string().max(1_000),
  get content() {
    return Format;
  },
  end: z.union([z.string().max(1_000), z.array(z.string().max(1_000)).min(1).max(16)]),
});
type Tag = { begin: string; content: Format; end: string | string[] };

const flags = {
  at_least_one: z.boolean().default(false),
  stop_after_first: z.boolean().default(false),
};

const Format = z.discriminatedUnion("type", [
  z.object({ type: z.literal("const_string"), value: words }),
  z.object({ type: z.literal("json_schema"), json_schema: json }),
  z.object({ type: z.literal("regex"), pattern: words.max(100_000) }),
  z.object({ type: z.literal("grammar"), grammar: z.string().min(1).max(100_000) }),
  z.object({ type: z.literal("any_text"), excludes }),
  z.object({
    type: z.enum(["sequence", "or"]),
    get elements() {
      return z.array(Format).min(1).max(1_000);
    },
  }),
  Tag.extend({ type: z.literal("tag") }),
  z.object({
    type: z.literal("triggered_tags"),
    triggers: wordList,
    tags: z.array(Tag).min(1).max(1_000),
    excludes,
    ...flags,
  }),
  z.object({
    type: z.literal("tags_with_separator"),
    tags: z.array(Tag).min(1).max(1_000),
    separator: z.string().max(1_000),
    ...flags,
  }),
]);
type Format =
  | { type: "const_string"; value: string }
  | { type: "json_schema"; json_schema: boolean | Record<string, unknown> }
  | { type: "regex"; pattern: string }
  | { type: "grammar"; grammar: string }
  | { type: "any_text"; excludes?: string[] | undefined }
  | { type: "sequence" | "or"; elements: Format[] }
  | (Tag & { type: "tag" })
  | ({ type: "triggered_tags"; triggers: string[]; excludes?: string[] | undefined } & Tags)
  | ({ type: "tags_with_separator"; separator: string } & Tags);
type Tags = { tags: Tag[]; at_least_one: boolean; stop_after_first: boolean };

const Legacy = z
  .object({
    structures: z
      .array(z.object({ begin: words, schema: json, end: z.string().max(1_000) }))
      .min(1),
    triggers: wordList,
  })
  .transform(({ structures, triggers }) => ({
    type: "triggered_tags" as const,
    triggers,
    tags: structures.map(({ begin, schema, end }) => ({
      begin,
      content: { type: "json_schema" as const, json_schema: schema },
      end,
    })),
    at_least_one: false,
    stop_after_first: false,
  }));

const StructuralTag = z.union([
  z
    .object({ type: z.literal("structural_tag").optional(), format: Format })
    .transform(({ format }) => format),
  Format,
  Legacy,
]);

/** What a part may be that has a structure of its own. */
export type Parts = {
  schema(schema: unknown): Expression;
  regex(pattern: string): Expression;
  grammar(grammar: string): Expression;
};

/** @throws StructureError */
export function readStructuralTag(value: unknown, parts: Parts): Expression {
  if (depthOf(value) > 4 * nestingMax)
    throw new StructureError(
      `the structural tag is nested more than ${4 * nestingMax} levels deep`,
    );
  const parsed = StructuralTag.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join(".") ?? "";
    throw new StructureError(
      `the structural tag cannot be read: ${place === "" ? "" : `${place}: `}${issue?.message}`,
    );
  }
  return new TagReader(parts).read(parsed.data, []);
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

class TagReader {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @param ends what ends the part that this lies in: free text has none of it */
  read(format: Format, ends: readonly string[]): Expression {
    switch (format.type) {
      case "const_string":
        return text(format.value);
      case "json_schema":
        return this.#parts.schema(format.json_schema);
      case "regex":
        return this.#parts.regex(format.pattern);
      case "grammar":
        return this.#parts.grammar(format.grammar);
      case "any_text":
        return free([...ends, ...(format.excludes ?? [])]);
      case "sequence":
        return sequence(...format.elements.map((each) => this.read(each, ends)));
      case "or":
        return choice(...format.elements.map((each) => this.read(each, ends)));
      case "tag":
        return this.#tag(format);
      case "triggered_tags":
        return this.#triggered(format, ends);
      case "tags_with_separator":
        return this.#separated(format);
    }
  }

  #tag({ begin, content, end }: Tag): Expression {
    const ends = (Array.isArray(end) ? end : [end]).filter((each) => each !== "");
    const last = ends.length === 0 ? empty : choice(...ends.map(text));
    return sequence(text(begin), this.read(content, ends), last);
  }

  #triggered(
    {
      triggers,
      tags,
      excludes: others = [],
      at_least_one: some,
      stop_after_first: one,
    }: Extract<Format, { type: "triggered_tags" }>,
    ends: readonly string[],
  ): Expression {
    const stray = tags.find(({ begin }) => !triggers.some((trigger) => begin.startsWith(trigger)));
    if (stray !== undefined) {
      throw new StructureError(
        `no trigger begins the tag ${stray.begin.slice(0, 100)}: add one to triggers`,
      );
    }
    const between = free([...triggers, ...others, ...ends]);
    const tag = choice(...tags.map((each) => this.#tag(each)));
    if (one) return sequence(between, some ? tag : optional(tag));
    return sequence(between, repeat(sequence(tag, between), some ? 1 : 0, null));
  }

  #separated({
    tags,
    separator,
    at_least_one: some,
    stop_after_first: one,
  }: Extract<Format, { type: "tags_with_separator" }>): Expression {
    const tag = choice(...tags.map((each) => this.#tag(each)));
    const list = one ? tag : sequence(tag, repeat(sequence(text(separator), tag), 0, null));
    return some ? list : optional(list);
  }
}

function free(strings: readonly string[]): Expression {
  return { kind: "states", states: freeText([...new Set(strings)]) };
}
