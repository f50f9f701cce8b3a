/**
 * A line of JSON Lines to its object. Looks at the line before it is parsed, so that what no form has (a hundred
 * levels, a million values) is neither built nor judged value by value.
 */
import { type Fault } from "./problems.ts";
import { trainingLimits } from "./limits.ts";
import { kindOf } from "./value-words.ts";

export type Fields = Readonly<Record<string, unknown>>;

const { depthMax, valuesPerLineMax: valuesMax } = trainingLimits;
const lineExample = '{"text": "…", "label": "…"}';

/** @returns the object, or what is wrong with the line */
export function parseJsonLine(text: string): { fields: Fields } | { fault: Fault } {
  const { depth, values, keys } = scan(text);
  if (depth > depthMax) return { fault: { code: "too_deep", expected: String(depthMax) } };
  if (values > valuesMax)
    return { fault: { code: "too_many_values", expected: String(valuesMax) } };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { fault: { code: "invalid_json" } };
  }
  if (!isFields(value)) {
    return { fault: { code: "not_an_object", found: kindOf(value), expected: lineExample } };
  }
  if (keysIn(value) !== keys) {
    return { fault: { code: "duplicate_key", field: repeatedKey(text) } };
  }
  const nul = /\0|\\u0000/.test(text) ? fieldWithNul(value) : null;
  return nul === null ? { fields: value } : { fault: { code: "nul_character", field: nul } };
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Scan = { depth: number; values: number; keys: number };

/** Where the string that begins at `from` has its closing quote. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
}

/**
 * Counts without building anything; of what is no JSON the counts mean nothing.
 * @param onKey is told each key, with a number of the object it stands in
 */
function scan(text: string, onKey?: (key: string, object: number) => void): Scan {
  const open: number[] = [];
  const counts = { depth: 0, values: 1, keys: 0 };
  let opened = 0;
  let [start, end] = [0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === '"') {
      [start, end] = [at, endOfString(text, at)];
      at = end;
    } else if (sign === ":") {
      counts.keys += 1;
      onKey?.(text.slice(start, end + 1), open.at(-1) ?? 0);
    } else if (sign === ",") {
      counts.values += 1;
    } else if (sign === "{" || sign === "[") {
      counts.values += 1;
      counts.depth = Math.max(counts.depth, open.push((opened += 1)));
    } else if (sign === "}" || sign === "]") {
      open.pop();
    }
    if (counts.depth > depthMax || counts.values > valuesMax) break;
  }
  return counts;
}

/** All objects of the value; its depth has been looked at. */
function keysIn(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const inside = Object.values(value).reduce((sum: number, each) => sum + keysIn(each), 0);
  return inside + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

function repeatedKey(text: string): string {
  const seen = new Set<string>();
  let repeated = "a key";
  scan(text, (raw, object) => {
    const key: unknown = JSON.parse(raw);
    const place = `${object} ${String(key)}`;
    if (seen.has(place) && repeated === "a key") repeated = String(key);
    seen.add(place);
  });
  return repeated;
}

/** The name of the outermost field with a NUL somewhere inside, keys included. */
function fieldWithNul(fields: Fields): string | null {
  const holds = (value: unknown): boolean => {
    if (typeof value === "string") return value.includes("\0");
    if (typeof value !== "object" || value === null) return false;
    return Object.entries(value).some(([key, each]) => key.includes("\0") || holds(each));
  };
  return Object.entries(fields).find(([key, value]) => holds({ [key]: value }))?.[0] ?? null;
}
