/** The numbers of a vector as base64 of little-endian f32: every platform this runs on is little-endian. */
export function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
