/** Sentence vectors as they travel: base64 of little-endian f32. Every machine the edge runs on is little-endian. */
import type { TokenVectors } from "#contract/tasks/feature-extraction.ts";

/** @returns [dimensions] f32 @throws RangeError where the bytes are no whole number of f32 */
export function decodeVector(base64: string): Float32Array {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return new Float32Array(bytes.buffer);
}

/** @returns a vector for each token */
export function decodeTokenVectors({ vectors, dimensions }: TokenVectors): number[][] {
  const all = decodeVector(vectors);
  return Array.from({ length: all.length / dimensions }, (_, token) => [
    ...all.subarray(token * dimensions, (token + 1) * dimensions),
  ]);
}
