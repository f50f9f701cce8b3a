/**
 * What makes two requests the same one: tenant, task, model, parameters and inputs, as their schemas left them (known
 * fields, in the schema's order, nothing else). How the result is worded is no part of it, nor is the model's digest,
 * which stands beside it in the cache key.
 */
import type { Task } from "#contract/tasks.ts";

export type KeyedRequest = {
  tenant: string;
  task: Task;
  model: string;
  parameters: Record<string, unknown>;
  /** JSON of the list. */
  inputs: string;
};

/** Up to this many characters a text is hashed in one piece. */
const pieceCharacters = 64 * 1024;
const encoder = new TextEncoder();

/** @returns sha256 of the JSON `[tenant, task, model, parameters, inputs]`, 64 lower-case hex digits */
export async function requestKeyOf(request: KeyedRequest): Promise<string> {
  const { tenant, task, model, parameters, inputs } = request;
  const head = `${JSON.stringify([tenant, task, model, parameters]).slice(0, -1)},`;
  const digest =
    inputs.length <= pieceCharacters
      ? await crypto.subtle.digest("SHA-256", encoder.encode(`${head}${inputs}]`))
      : await digestPieces([head, ...piecesOf(inputs), "]"]);
  return new Uint8Array(digest).toHex();
}

/** No piece ends between the two halves of a surrogate pair: encoded apart, each would become U+FFFD. */
function* piecesOf(text: string): Generator<string> {
  for (let start = 0; start < text.length;) {
    const last = text.charCodeAt(start + pieceCharacters - 1);
    const halved = last >= 0xd800 && last <= 0xdbff;
    const end = start + pieceCharacters - (halved ? 1 : 0);
    yield text.slice(start, end);
    start = end;
  }
}

async function digestPieces(pieces: Iterable<string>): Promise<ArrayBuffer> {
  const stream = new crypto.DigestStream("SHA-256");
  const writer = stream.getWriter();
  for (const piece of pieces) await writer.write(encoder.encode(piece));
  await writer.close();
  return stream.digest;
}
