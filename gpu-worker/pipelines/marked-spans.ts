/** The two marked parts of a text: `The <e1>storm</e1> caused the <e2>flood</e2>.` */
import { CodedError } from "#contract/errors.ts";
import type { Span } from "./offsets.ts";
import type { NamedText } from "./text-tokens.ts";

export type MarkedText = {
  /** Without its marks. */
  text: string;
  /** Of `<e1>` and of `<e2>` in `text`, UTF-16 code units. */
  head: Span;
  tail: Span;
};

const marks = /<\/?e[12]>/g;
/** The most marks that are looked at in a text. */
const marksRead = 64;
const rightForm =
  "Mark two parts of the text, each once and none inside the other: <e1>storm</e1> caused the <e2>flood</e2>.";

/** Null: nothing is marked. @throws CodedError for marks of another form */
export function readMarks({ text, name }: NamedText): MarkedText | null {
  const found: RegExpExecArray[] = [];
  for (const mark of text.matchAll(marks)) if (found.push(mark) === marksRead) break;
  if (found.length === 0) return null;
  const fault = faultOf(found.map(([mark]) => mark));
  if (fault !== null) throw wrong(name, fault);
  // Each mark moves what follows by its own length.
  let shift = 0;
  const offsets = found.map(({ 0: mark, index }) => {
    const offset = index - shift;
    shift += mark.length;
    return offset;
  });
  const bare = text.replaceAll(marks, "");
  const [a, b, c, d] = [offsets[0] ?? 0, offsets[1] ?? 0, offsets[2] ?? 0, offsets[3] ?? 0];
  const first: Span = [a, b];
  const second: Span = [c, d];
  for (const span of [first, second]) {
    if (bare.slice(...span).trim() === "") throw wrong(name, "a marked part is empty");
  }
  const inOrder = found[0]?.[0] === "<e1>";
  return { text: bare, head: inOrder ? first : second, tail: inOrder ? second : first };
}

function wrong(name: string, fault: string): CodedError {
  return new CodedError("invalid_value", `${name}: ${fault}. ${rightForm}`, { param: name });
}

function faultOf(found: readonly string[]): string | null {
  for (const mark of ["<e1>", "</e1>", "<e2>", "</e2>"]) {
    const times = found.filter((each) => each === mark).length;
    if (times === 0) return `${mark} is missing`;
    if (times > 1) return `${mark} stands ${times} times`;
  }
  const form = found.join("");
  const good = ["<e1></e1><e2></e2>", "<e2></e2><e1></e1>"].includes(form);
  return good ? null : "a part ends before it starts, or inside the other";
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
