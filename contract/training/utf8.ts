/** Bytes to text without any runtime's own decoder, for the first pieces of a file: slow, and strict. */

/** A byte as `decodeURIComponent` reads it; the decoding of UTF-8 is part of that function's own specification. */
const escaped = Array.from({ length: 256 }, (_, byte) => {
  const plain = byte < 0x80 && byte !== 0x25;
  return plain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
});

/** Null where the bytes are no UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return decodeURIComponent(Array.from(bytes, (byte) => escaped[byte]).join(""));
  } catch {
    return null;
  }
}
