/** @returns 128 random bits as 32 lower-case hex digits, for ids that nobody can guess */
export function randomHex(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}
