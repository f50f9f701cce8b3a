/**
 * The special tokens that a tokenizer's post-processor puts around one text, or around and between two, and the segment
 * of each: read off the encoding of a probe, so that it works for every kind of post-processor. With them, ids that
 * were encoded bare (or truncated) are put together without encoding their text again.
 */
import type { Encoding } from "tokenizers";

/** A sequence with its special tokens. */
export type WrappedSequence = {
  ids: number[];
  /** Segment of each token: 0 for the first text, and for the second what the model was trained with. */
  typeIds: number[];
  /** Index of the first token of each text. */
  starts: number[];
};

type Slot = { readonly text: 0 | 1; readonly typeId: number };
type Special = { readonly id: number; readonly typeId: number };
/** A sequence with a slot in place of each text. */
export type Template = readonly (Slot | Special)[];

/** @param probe encoded with special tokens; each of its texts has at least one token */
export function templateOf(probe: Encoding): Template {
  const [ids, typeIds, texts] = [probe.getIds(), probe.getTypeIds(), probe.getSequenceIds()];
  const template: (Slot | Special)[] = [];
  for (const [at, id] of ids.entries()) {
    const text = texts[at];
    const typeId = typeIds[at] ?? 0;
    if (text !== 0 && text !== 1) template.push({ id, typeId });
    else if (texts[at - 1] !== text) template.push({ text, typeId });
  }
  return template;
}

export function holds(template: Template, texts: readonly (0 | 1)[]): boolean {
  return texts.every((text) => template.some((part) => "text" in part && part.text === text));
}

export function countSpecial(template: Template): number {
  return template.filter((part) => "id" in part).length;
}

export function fill(template: Template, texts: readonly (readonly number[])[]): WrappedSequence {
  const wrapped: WrappedSequence = { ids: [], typeIds: [], starts: [] };
  const push = (id: number, typeId: number) => {
    wrapped.ids.push(id);
    wrapped.typeIds.push(typeId);
  };
  for (const part of template) {
    if ("id" in part) {
      push(part.id, part.typeId);
      continue;
    }
    wrapped.starts[part.text] = wrapped.ids.length;
    for (const id of texts[part.text] ?? []) push(id, part.typeId);
  }
  return wrapped;
}

/** Removes the special tokens of a template for one text, where ids carry them. */
export function unfill(template: Template, ids: readonly number[]): number[] {
  const { before, after } = aroundText(template);
  return stand({ before, after }, ids)
    ? ids.slice(before.length, ids.length - after.length)
    : [...ids];
}

/** Whether ids carry the special tokens of a template for one text, and it has some at both ends. */
export function isFilled(template: Template, ids: readonly number[]): boolean {
  const { before, after } = aroundText(template);
  return before.length > 0 && after.length > 0 && stand({ before, after }, ids);
}

type Ends = { before: Template; after: Template };

function aroundText(template: Template): Ends {
  const at = template.findIndex((part) => "text" in part);
  return { before: template.slice(0, at), after: template.slice(at + 1) };
}

function stand({ before, after }: Ends, ids: readonly number[]): boolean {
  const end = ids.length - after.length;
  const areAt = (parts: Template, from: number) =>
    parts.every((part, index) => "id" in part && ids[from + index] === part.id);
  return end >= before.length && areAt(before, 0) && areAt(after, end);
}
