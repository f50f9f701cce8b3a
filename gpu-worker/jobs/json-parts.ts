/** Large JSON documents, written and read in parts that are short work each, so that the event loop stays free. */
import { TimeSlices } from "../event-loop/time-slices.ts";

/** What is written at once has about so many values: some tenths of a millisecond. */
const valuesAtOnce = 2_048;
/** A text counts as one value more for each so many of its characters. */
const charactersPerValue = 64;

/** The document, as JSON.stringify writes it. @throws the signal's reason */
export async function* jsonParts(document: unknown, signal: AbortSignal): AsyncGenerator<string> {
  const slices = new TimeSlices(signal);
  for (const part of partsOf(document)) {
    if (slices.over) await slices.next();
    yield part;
  }
}

function* partsOf(document: unknown): Generator<string> {
  if (valuesIn(document) <= valuesAtOnce) yield JSON.stringify(document) ?? "null";
  else if (Array.isArray(document)) yield* partsOfList(document);
  else if (typeof document === "object" && document !== null) yield* partsOfObject(document);
  else yield JSON.stringify(document);
}

/** Counted only until it is clear that there are too many. */
function valuesIn(document: unknown): number {
  if (typeof document === "string") return 1 + document.length / charactersPerValue;
  if (typeof document !== "object" || document === null) return 1;
  let values = 1;
  for (const value of Array.isArray(document) ? document : Object.values(document)) {
    values += valuesIn(value);
    if (values > valuesAtOnce) break;
  }
  return values;
}

function* partsOfList(list: readonly unknown[]): Generator<string> {
  let before = "[";
  let group: unknown[] = [];
  let values = 0;
  const written = () => {
    const text = before + JSON.stringify(group).slice(1, -1);
    [before, group, values] = [",", [], 0];
    return text;
  };
  for (const item of list) {
    const more = valuesIn(item);
    if (group.length > 0 && values + more > valuesAtOnce) yield written();
    if (more > valuesAtOnce) {
      yield before;
      yield* partsOf(item);
      before = ",";
    } else {
      group.push(item);
      values += more;
    }
  }
  if (group.length > 0) yield written();
  yield before === "[" ? "[]" : "]";
}

function* partsOfObject(object: object): Generator<string> {
  let before = "{";
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    yield* partsOf(value);
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

/**
 * The texts of the items of a list, one after the other. They are not parsed here.
 * @param text JSON
 * @throws SyntaxError where it is no list
 */
export function* jsonItems(text: string): Generator<string> {
  let start = text.search(/\S/) + 1;
  if (text.charAt(start - 1) !== "[") throw new SyntaxError("a list was expected");
  if (/^\s*\]/.test(text.slice(start))) return;
  for (let [at, depth] = [start, 1]; depth > 0; at += 1) {
    const character = text.charAt(at);
    if (character === "") throw new SyntaxError("the list does not end");
    if (character === '"') at = endOfString(text, at);
    else if (character === "[" || character === "{") depth += 1;
    else if (character === "]" || character === "}") depth -= 1;
    if (depth > 1 || (character !== "," && depth > 0)) continue;
    yield text.slice(start, at);
    start = at + 1;
  }
}

/** @param from of the opening quote @returns of the closing one */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charAt(at - 1 - escapes) === "\\") escapes += 1;
    if (escapes % 2 === 0) return at;
  }
  throw new SyntaxError("a text does not end");
}
