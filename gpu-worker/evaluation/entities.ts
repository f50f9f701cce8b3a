/**
 * Entities of tags as seqeval reads them. By default as the CoNLL script: an entity may begin with I-, or where the
 * class changes. In strict IOB2 it begins with B- alone and goes on with I- of the same class; other tags are outside.
 */
export type EntityMode = "default" | "strict";

/** Tokens start … end − 1 of a sentence. */
export type TagEntity = { label: string; start: number; end: number };

type Tag = { prefix: string; label: string };

const outside: Tag = { prefix: "O", label: "_" };

/** Throws a RangeError where a tag has no letter, or in strict mode one that IOB2 lacks. */
export function entitiesOfTags(tags: readonly string[], mode: EntityMode): TagEntity[] {
  const entities: TagEntity[] = [];
  const { read, ends, begins } = rules[mode];
  let before: Tag = outside;
  let open: TagEntity | null = null;
  for (let at = 0; at <= tags.length; at += 1) {
    const text = tags[at];
    const tag = text === undefined ? outside : read(text);
    if (open !== null && ends(before, tag)) {
      entities.push({ ...open, end: at });
      open = null;
    }
    if (begins(before, tag)) open = { label: tag.label, start: at, end: at };
    before = tag;
  }
  return entities;
}

type Rules = {
  read: (tag: string) => Tag;
  ends: (before: Tag, tag: Tag) => boolean;
  begins: (before: Tag, tag: Tag) => boolean;
};

const rules: Readonly<Record<EntityMode, Rules>> = {
  default: {
    read: (tag) => ({
      prefix: firstLetter(tag),
      label: tag.slice(firstLetter(tag).length).replace(/^[^-]*-/, "") || "_",
    }),
    ends: (before, tag) =>
      /[ES]/.test(before.prefix) ||
      (/[BI]/.test(before.prefix) && /[BSO]/.test(tag.prefix)) ||
      (!isOutside(before) && before.label !== tag.label),
    begins: (before, tag) =>
      /[BS]/.test(tag.prefix) ||
      (/[ESO]/.test(before.prefix) && /[EI]/.test(tag.prefix)) ||
      (!isOutside(tag) && before.label !== tag.label),
  },
  strict: {
    read: (tag) => {
      if (!/^[IOB]/.test(tag))
        throw new RangeError(`${JSON.stringify(tag)} is no tag of IOB2: it begins with B, I or O`);
      return { prefix: firstLetter(tag), label: tag.slice(1).replaceAll(/^-+|-+$/g, "") || "_" };
    },
    ends: (before, tag) => tag.prefix !== "I" || before.label !== tag.label,
    begins: (_, tag) => tag.prefix === "B",
  },
};

function isOutside({ prefix }: Tag): boolean {
  return prefix === "O" || prefix === ".";
}

function firstLetter(tag: string): string {
  const [letter] = tag;
  if (letter === undefined) throw new RangeError("a tag is empty: outside of entities it is O");
  return letter;
}
