/** Characters of UTF-8 whose bytes come piece by piece. */

/** Whole characters, and the bytes of one that is not whole. */
export function decoded(bytes: readonly number[]): { codePoints: number[]; rest: number[] } {
  const codePoints: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = lengthBy(bytes[at] ?? 0);
    if (at + length > bytes.length) break;
    codePoints.push(codePointOf(bytes.slice(at, at + length)));
    at += length;
  }
  return { codePoints, rest: bytes.slice(at) };
}

function lengthBy(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function codePointOf([lead = 0, ...rest]: readonly number[]): number {
  const own = rest.length === 0 ? lead : lead & (0x3f >> rest.length);
  return rest.reduce((code, byte) => (code << 6) | (byte & 0x3f), own);
}

/** The characters that begin with these bytes. */
export function rangeOf(begun: readonly number[]): readonly [number, number] {
  const length = lengthBy(begun[0] ?? 0);
  const filled = (byte: number) => [
    ...begun,
    ...Array.from({ length: length - begun.length }, () => byte),
  ];
  const [from, to] = [codePointOf(filled(0x80)), codePointOf(filled(0xbf))];
  const leasts = [0, 0, 0x80, 0x800, 0x10000];
  return [Math.max(from, leasts[length] ?? 0), Math.min(to, 0x10ffff)];
}

/** Whether they are UTF-8, or could go on to be. */
export function isUtf8(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte < 0x80)) return true;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
