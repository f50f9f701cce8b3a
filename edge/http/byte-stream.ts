/** A body of pieces that are made as they are read. */
import { freeBytes } from "./free-bytes.ts";

/** Nothing is made before the reader asks for it, and a chunk is freed once the reader has it. */
export function byteStream(
  pieces: AsyncGenerator<Uint8Array>,
  cancel: () => Promise<void>,
): ReadableStream<Uint8Array> {
  const { readable, writable } = new IdentityTransformStream();
  void pump(pieces, writable.getWriter()).finally(cancel);
  return readable;
}

async function pump(
  pieces: AsyncGenerator<Uint8Array>,
  writer: WritableStreamDefaultWriter,
): Promise<void> {
  try {
    for await (const piece of pieces) {
      if (piece.byteLength > 0 && !(await isTaken(writer, piece))) return;
      freeBytes(piece);
    }
    await writer.close();
  } catch (error) {
    console.error(JSON.stringify({ event: "result.broke_off", reason: String(error) }));
    await writer.abort(error).catch(() => {});
  }
}

/** @returns false where whoever took the bytes has left */
async function isTaken(writer: WritableStreamDefaultWriter, piece: Uint8Array): Promise<boolean> {
  return writer.write(piece).then(
    () => true,
    () => false,
  );
}
