/**
 * How a worker signs what it posts to the edge. HMAC-SHA256 over `signedBytes`, lower-case hex, in `signatureHeader` as
 * `v1=<hex>`; each side computes the HMAC with its own runtime's primitives. Test vectors: golden/signature.json.
 */
export const timestampHeader = "llm-os-timestamp";
export const signatureHeader = "llm-os-signature";
/** A signature whose timestamp is further from now than this is refused. */
export const replayWindowSeconds = 300;

/**
 * The bytes before the body: `v1\n<unix seconds>\n<METHOD>\n<path>\n`. The body follows, unchanged.
 * @param path with its query, as sent on the request line
 */
export function signedPrefix(timestampSeconds: number, method: string, path: string): string {
  return `v1\n${timestampSeconds}\n${method}\n${path}\n`;
}
