/**
 * IOB2: B-LABEL begins an entity, I-LABEL goes on with one of the same label, O is outside of all (Tjong Kim Sang and
 * Veenstra 1999). IOB1 writes I-LABEL at the beginning too: what to write instead is told.
 */
import type { TokenFault } from "./row.ts";

const form = /^(?:O|([BI])-(\S.*))$/;

export type Tag = { readonly begins: boolean; readonly label: string };

/** Null: outside; undefined: no tag of IOB2. */
export function readTag(tag: string): Tag | null | undefined {
  const found = form.exec(tag);
  if (found === null) return undefined;
  const [, prefix, label] = found;
  return label === undefined ? null : { begins: prefix === "B", label };
}

export function tagFaults(tags: readonly string[]): TokenFault[] {
  const faults: TokenFault[] = [];
  let before: string | null = null;
  for (const [token, tag] of tags.entries()) {
    const read = readTag(tag);
    const field = `tags[${token}]`;
    if (read === undefined) faults.push({ code: "unknown_tag", field, found: tag, token });
    else if (read !== null && !read.begins && read.label !== before) {
      const expected = `B-${read.label}`;
      faults.push({ code: "tag_continues_nothing", field, found: tag, expected, token });
    }
    before = read?.label ?? null;
  }
  return faults;
}

/** The label of each entity, in the order of the text. */
export function entityLabels(tags: readonly string[]): string[] {
  return tags.flatMap((tag) => {
    const read = readTag(tag);
    return read?.begins === true ? [read.label] : [];
  });
}
