/** @returns 128 random bits as 32 lower-case hex digits, for ids that nobody can guess */
export function randomHex(): string {
  return crypto.getRandomValues(new Uint8Array(16)).toHex();
}
