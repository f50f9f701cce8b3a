/** Offsets in a text counted in code points, as Rust and Python count, to UTF-16 code units, as JavaScript counts. */

/** @returns the UTF-16 offset of one in code points; past the end, the text's length */
export function utf16Offsets(text: string): (codePoints: number) => number {
  if (!/[\ud800-\udfff]/.test(text)) return (offset) => Math.min(offset, text.length);
  const offsets = new Uint32Array(text.length + 1);
  let count = 0;
  // By units, because iterating over characters makes a string of each.
  for (let units = 0; units < text.length; units += isPair(text, units) ? 2 : 1) {
    offsets[count++] = units;
  }
  return (offset) => (offset < count ? (offsets[offset] ?? text.length) : text.length);
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff;
}
