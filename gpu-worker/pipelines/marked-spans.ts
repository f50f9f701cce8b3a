/** A request's text with two marked parts, and a text written with its marks. */
import { CodedError } from "#contract/errors.ts";
import { type MarkedText, readRelationMarks } from "#contract/relation-marks.ts";
import type { NamedText } from "./text-tokens.ts";

const rightForm =
  "Mark two parts of the text, each once and none inside the other: <e1>storm</e1> caused the <e2>flood</e2>.";

/** Null: nothing is marked. @throws CodedError for marks of another form */
export function readMarks({ text, name }: NamedText): MarkedText | null {
  const read = readRelationMarks(text);
  if (read === null || !("fault" in read)) return read;
  throw new CodedError("invalid_value", `${name}: ${read.fault}. ${rightForm}`, { param: name });
}

/** The text with its two parts marked. They must not overlap. */
export function writeMarks({ text, head, tail }: MarkedText): string {
  const both = [
    { span: head, name: "e1" },
    { span: tail, name: "e2" },
  ].toSorted((a, b) => b.span[0] - a.span[0]);
  return both.reduce((written, { span: [start, end], name }) => {
    const part = `<${name}>${written.slice(start, end)}</${name}>`;
    return written.slice(0, start) + part + written.slice(end);
  }, text);
}
