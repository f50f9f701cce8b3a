/**
 * Finds a key that stands twice in one object of a JSON text, which `JSON.parse` would silently drop.
 * The text must already be known to parse. One pass, no recursion: the text may be hostile.
 */

/** Index of the quote that closes the string opened at `start`. */
function closingQuote(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at;
}

/** The first such key, or null. */
export function findDuplicateKey(json: string): string | null {
  /** Keys of each open object, innermost last; null for an open array. */
  const open: (Set<string> | null)[] = [];
  let string = "";
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = closingQuote(json, at);
      string = json.slice(at, end + 1);
      at = end;
    } else if (character === ":") {
      const keys = open.at(-1);
      const key = String(JSON.parse(string));
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return null;
}
