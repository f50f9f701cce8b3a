/** Places in a text counted in code points, as Rust and Python count, told in UTF-16 code units, as JavaScript does. */

/** @returns the UTF-16 place of a code point's; past the end, the text's length */
export function utf16Places(text: string): (codePoints: number) => number {
  if (!/[\ud800-\udfff]/.test(text)) return (place) => Math.min(place, text.length);
  const places = new Uint32Array(text.length + 1);
  let [units, count] = [0, 0];
  for (const character of text) {
    places[count++] = units;
    units += character.length;
  }
  return (place) => (place < count ? (places[place] ?? units) : units);
}
