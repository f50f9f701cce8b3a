/** Whether a request was sent before, as its client says. */
import { CodedError } from "#contract/errors.ts";

export const idempotencyHeader = "idempotency-key";
const keyCharactersMax = 255;

/** @returns null: it was sent without @throws CodedError */
export function idempotencyKey(header: string | undefined): string | null {
  if (header === undefined) return null;
  if (header !== "" && header.length <= keyCharactersMax) return header;
  throw new CodedError(
    "invalid_value",
    `Idempotency-Key has ${header.length} characters, and may have 1 to ${keyCharactersMax}. Send a UUID.`,
    { param: idempotencyHeader },
  );
}

/** OpenAI's clients send no key of their own, and count how often they tried. @param header `X-Stainless-Retry-Count` */
export function isRetried(header: string | undefined): boolean {
  return header !== undefined && /^[1-9]\d{0,3}$/.test(header);
}
