/** The two marked parts of a text: `The <e1>storm</e1> caused the <e2>flood</e2>.` */
import { CodedError } from "#contract/errors.ts";
import type { Place } from "./offsets.ts";
import type { NamedText } from "./text-tokens.ts";

export type MarkedText = {
  /** Without its marks. */
  text: string;
  /** Of `<e1>` and of `<e2>` in `text`, UTF-16 code units. */
  head: Place;
  tail: Place;
};

const marks = /<\/?e[12]>/g;
/** Marks looked at, in a text that has far too many. */
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
  const places = found.map(({ 0: mark, index }) => {
    const place = index - shift;
    shift += mark.length;
    return place;
  });
  const bare = text.replaceAll(marks, "");
  const [a, b, c, d] = [places[0] ?? 0, places[1] ?? 0, places[2] ?? 0, places[3] ?? 0];
  const first: Place = [a, b];
  const second: Place = [c, d];
  for (const place of [first, second]) {
    if (bare.slice(...place).trim() === "") throw wrong(name, "a marked part is empty");
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
    { place: head, name: "e1" },
    { place: tail, name: "e2" },
  ].toSorted((a, b) => b.place[0] - a.place[0]);
  return both.reduce((written, { place: [start, end], name }) => {
    const part = `<${name}>${written.slice(start, end)}</${name}>`;
    return written.slice(0, start) + part + written.slice(end);
  }, text);
}
