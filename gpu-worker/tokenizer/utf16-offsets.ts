/** Places in a text counted in code points, as Rust and Python count, told in UTF-16 code units, as JavaScript does. */

/** @returns the UTF-16 place of a code point's; past the end, the text's length */
export function utf16Places(text: string): (codePoints: number) => number {
  if (!/[\ud800-\udfff]/.test(text)) return (place) => Math.min(place, text.length);
  const places = new Uint32Array(text.length + 1);
  let count = 0;
  // By units, because iterating over characters makes a string of each.
  for (let units = 0; units < text.length; units += isPair(text, units) ? 2 : 1) {
    places[count++] = units;
  }
  return (place) => (place < count ? (places[place] ?? text.length) : text.length);
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff;
}
