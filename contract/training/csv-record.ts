/**
 * Records of tables with a header: CSV as RFC 4180 has it, TSV as its media type has it, without quoting. A record of
 * CSV goes on over a line's end inside quotes: it is whole when it has an even number of them.
 */

export type Delimiter = "," | ";" | "\t";

export function hasWholeQuotes(text: string, delimiter: Delimiter): boolean {
  if (delimiter === "\t") return true;
  let quotes = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) quotes += 1;
  return quotes % 2 === 0;
}

/** The fields of one record without its line's end; null where its quotes do not match. */
export function splitRecord(text: string, delimiter: Delimiter): string[] | null {
  if (delimiter === "\t" || !text.includes('"')) return text.split(delimiter);
  const fields: string[] = [];
  for (let at = 0; ;) {
    const quoted = text[at] === '"';
    const end: number | null = quoted ? endOfQuoted(text, at) : endOfPlain(text, at, delimiter);
    if (end === null) return null;
    const field = text.slice(at, end);
    fields.push(quoted ? field.slice(1, -1).replaceAll('""', '"') : field);
    if (end === text.length) return fields;
    if (text[end] !== delimiter) return null;
    at = end + 1;
  }
}

/** Behind the closing quote; null: there is none. */
function endOfQuoted(text: string, from: number): number | null {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at + 1;
  }
  return null;
}

/** Null: a quote stands in it. */
function endOfPlain(text: string, from: number, delimiter: Delimiter): number | null {
  const found = text.indexOf(delimiter, from);
  const end = found < 0 ? text.length : found;
  const quote = text.indexOf('"', from);
  return quote >= 0 && quote < end ? null : end;
}
