/**
 * How many texts go to the tokenizer in one call: enough to keep it busy, few enough that a request that is too long
 * ends early.
 */

/** Of the texts of one call, unless it is a single longer one. The library takes some 500 bytes a token meanwhile. */
const charactersPerCall = 2 ** 16;

/** Groups of neighbours, in order. */
export function* groupTexts<T>(
  items: Iterable<T>,
  charactersOf: (item: T) => number,
): Generator<T[]> {
  let group: T[] = [];
  let characters = 0;
  for (const item of items) {
    const more = charactersOf(item);
    if (group.length > 0 && characters + more > charactersPerCall) {
      yield group;
      group = [];
      characters = 0;
    }
    group.push(item);
    characters += more;
  }
  if (group.length > 0) yield group;
}
