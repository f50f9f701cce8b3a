/** Values in words, for those who wrote them. */

/** As in "label is a list". */
export function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number" && !Number.isFinite(value)) return "too large a number";
  if (typeof value === "object") return "an object";
  return typeof value === "boolean" ? String(value) : `a ${typeof value}`;
}

const wanted: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "an object",
};

/** A type as a schema names it. */
export function typeInWords(name: string): string {
  return wanted[name] ?? name;
}

/** As in `messages[2].content`. */
export function pathInWords(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => {
      if (typeof part === "number") return `[${part}]`;
      return at === 0 ? String(part) : `.${String(part)}`;
    })
    .join("");
}
