/** The two marked parts of a text: `The <e1>storm</e1> caused the <e2>flood</e2>.` */

/** `[start, end)`, UTF-16 code units. */
type Span = readonly [start: number, end: number];

export type MarkedText = {
  /** Without its marks. */
  text: string;
  /** Of `<e1>` and of `<e2>` in `text`. */
  head: Span;
  tail: Span;
};

const marks = /<\/?e[12]>/g;
/** The most marks that are looked at in a text. */
const marksRead = 64;

/** Null: nothing is marked. `fault` says, without an end mark, what is wrong with the marks. */
export function readRelationMarks(text: string): MarkedText | { fault: string } | null {
  const found: RegExpExecArray[] = [];
  for (const mark of text.matchAll(marks)) if (found.push(mark) === marksRead) break;
  if (found.length === 0) return null;
  const fault = faultOf(found.map(([mark]) => mark));
  if (fault !== null) return { fault };
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
    if (bare.slice(...span).trim() === "") return { fault: "a marked part is empty" };
  }
  const inOrder = found[0]?.[0] === "<e1>";
  return { text: bare, head: inOrder ? first : second, tail: inOrder ? second : first };
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
