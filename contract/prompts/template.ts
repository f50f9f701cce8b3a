/**
 * Texts with `{{name}}` in them. Nothing else is read: no filters, no conditions, and what is put in is not read again.
 * Two braces that are meant as such are written `{{{{`; `}}` by itself is text.
 */

/** A text, or the variable that stands there. */
export type Segment = string | { readonly name: string };

/** Where two braces begin no variable, in UTF-16 units. */
export type TemplateFault = { readonly at: number };

export const variableName = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

const tag = /\{\{\{\{|\{\{[ \t]*([A-Za-z][A-Za-z0-9_]{0,63})[ \t]*\}\}|\{\{/g;

export function parseTemplate(text: string): Segment[] | TemplateFault {
  const segments: Segment[] = [];
  let [from, literal] = [0, ""];
  for (const { 0: found, 1: name, index } of text.matchAll(tag)) {
    literal += text.slice(from, index);
    from = index + found.length;
    if (found === "{{{{") {
      literal += "{{";
      continue;
    }
    if (name === undefined) return { at: index };
    if (literal !== "") segments.push(literal);
    segments.push({ name });
    literal = "";
  }
  literal += text.slice(from);
  return literal === "" ? segments : [...segments, literal];
}

/** The same text as a template that has no variable. */
export function escapeTemplate(text: string): string {
  return text.replaceAll("{{", "{{{{");
}
