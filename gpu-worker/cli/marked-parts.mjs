// The two marked parts of a text: The <e1>storm</e1> caused the <e2>flood</e2>.
const marks = /<\/?e[12]>/g;
const bare = (text) => text.replaceAll(marks, "");

/** The text as the model reads it, with its marks or without, and where its two parts are in it. */
export function readParts(text, keepsMarks) {
  const placeOf = (name) => {
    const part = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text);
    if (part === null) throw new Error(`${text}: mark two parts, <e1>one</e1> and <e2>other</e2>`);
    const [marked, inside] = part;
    const start = keepsMarks ? part.index : bare(text.slice(0, part.index)).length;
    return [start, start + (keepsMarks ? marked : inside).length];
  };
  return { text: keepsMarks ? text : bare(text), head: placeOf("e1"), tail: placeOf("e2") };
}

/** 1 for each token of a part, else 0. `offsets` of all tokens in the text; those of special tokens are empty. */
export function tokensOf({ text }, [start, end], offsets) {
  const isOf = ([from, to]) =>
    text.slice(Math.max(from, start), Math.min(to, end)).trim().length > 0;
  const [first, last] = [offsets.findIndex(isOf), offsets.findLastIndex(isOf)];
  if (first === -1)
    throw new Error(
      `${text}: a marked part holds nothing that the model reads, or is too far behind`,
    );
  return offsets.map((_, at) => Number(at >= first && at <= last));
}
