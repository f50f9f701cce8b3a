/**
 * Entities of a text as a tag for each of its tokens, IOB2. A token is of an entity where they share a character other
 * than white space: one that an entity's border cuts belongs to it whole, since a model can only mark whole tokens; of
 * two entities that share a token it is of the one with more of it, of equals the first.
 */
import type { Entity } from "#contract/training/forms.ts";
import { utf16Offsets } from "../tokenizer/utf16-offsets.ts";

type Span = readonly [start: number, end: number];

export type AlignedTags = {
  tags: string[];
  /** Indices of entities whose border lies inside a token. */
  cut: number[];
  /** Indices of entities that no token is of. */
  lost: number[];
};

/**
 * @param entities in code points of the text, as files have them; none overlaps another
 * @param tokens `[start, end)` of each in UTF-16 code units, in order, as a tokenizer gives them
 */
export function alignSpans(
  text: string,
  entities: readonly Entity[],
  tokens: readonly Span[],
): AlignedTags {
  const offsets = utf16Offsets(text);
  const spans = entities.map(({ start, end }) => trimmed(text, [offsets(start), offsets(end)]));
  const bare = tokens.map((token) => trimmed(text, token));
  const owners = bare.map((token) => ownerOf(token, spans));
  const begun = new Set<number>();
  const tags = owners.map((owner) => {
    if (owner === null) return "O";
    const prefix = begun.has(owner) ? "I" : "B";
    begun.add(owner);
    return `${prefix}-${entities[owner]?.label ?? ""}`;
  });
  const cut = [...spans.keys()].filter((at) => isCut(spans[at] ?? [0, 0], bare));
  return { tags, cut, lost: [...spans.keys()].filter((at) => !begun.has(at)) };
}

/** Without white space at its ends. */
function trimmed(text: string, [start, end]: Span): Span {
  const part = text.slice(start, end);
  const lead = part.length - part.trimStart().length;
  return lead === part.length ? [start, start] : [start + lead, start + part.trimEnd().length];
}

function ownerOf(token: Span, spans: readonly Span[]): number | null {
  let best: number | null = null;
  let most = 0;
  for (const [at, span] of spans.entries()) {
    const shared = Math.min(token[1], span[1]) - Math.max(token[0], span[0]);
    if (shared > most) [best, most] = [at, shared];
  }
  return best;
}

function isCut(span: Span, tokens: readonly Span[]): boolean {
  return span.some((border) => tokens.some(([start, end]) => start < border && border < end));
}
