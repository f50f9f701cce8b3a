/** A request's text with two marked parts, and a text written with its marks. */
import { CodedError } from "#contract/errors.ts";
import { type MarkedText, readRelationMarks } from "#contract/relation-marks.ts";
import type { Span } from "./offsets.ts";
import type { NamedText } from "./text-tokens.ts";

const rightForm =
  "Mark two parts of the text, each once and none inside the other: <e1>storm</e1> caused the <e2>flood</e2>.";

/** Null: nothing is marked. @throws CodedError for marks of another form */
export function readMarks({ text, name }: NamedText): MarkedText | null {
  const read = readRelationMarks(text);
  if (read === null || !("fault" in read)) return read;
  throw new CodedError("invalid_value", `${name}: ${read.fault}. ${rightForm}`, { param: name });
}

/** The text with its two parts marked, and their places, marks included. The parts must not overlap. */
export function withMarks({ text, head, tail }: MarkedText): MarkedText {
  const isInOrder = head[0] < tail[0];
  const marked = (span: Span, name: string) => `<${name}>${text.slice(...span)}</${name}>`;
  const [one, other] = [marked(head, "e1"), marked(tail, "e2")];
  const [first, second] = isInOrder ? [one, other] : [other, one];
  const [before, after] = isInOrder ? [head, tail] : [tail, head];
  const written = text.slice(0, before[0]) + first + text.slice(before[1], after[0]);
  const places: [Span, Span] = [
    [before[0], before[0] + first.length],
    [written.length, written.length + second.length],
  ];
  const [headPlace, tailPlace] = isInOrder ? places : [places[1], places[0]];
  return { text: written + second + text.slice(after[1]), head: headPlace, tail: tailPlace };
}
