/** What a decoder's session is fed where nothing is bound: see architectures/causal-transformer.ts for the names. */
import type { Session } from "../runtime/session.ts";
import { bytesPerElement } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { int64, type Tensor, tensor, tensorFromBytes } from "../tensor/tensor.ts";

type Fed = Pick<Session, "inputs">;

/** Of a run that reads no piece of a prompt beside new tokens of other texts. */
export const noPiece = { piece_length: tensor("int32", [1], Int32Array.of(0)) };

/** Room for `length` tokens of each text, empty, and none for a piece of a prompt. */
export function emptyCache({ inputs }: Fed, texts: number, length: number): Record<string, Tensor> {
  const states = inputs.filter(({ name }) => name.includes("past_key_values."));
  return Object.fromEntries(
    states.map(({ name, dtype, shape }): [string, Tensor] => {
      const [rows, tokens] = name.startsWith("piece.") ? [1, 0] : [texts, length];
      const room = [rows, Number(shape[1]), tokens, Number(shape[3])];
      const bytes = new Uint8Array(elementCount(room) * bytesPerElement(dtype));
      return [name, tensorFromBytes(dtype, room, bytes)];
    }),
  );
}

/** A text from its beginning, the logits of all its tokens. */
export function wholeText(session: Fed, ids: readonly number[]): Record<string, Tensor> {
  return {
    input_ids: int64([1, ids.length], ids),
    lengths: tensor("int32", [1], Int32Array.of(ids.length)),
    total_length: tensor("int32", [], Int32Array.of(ids.length)),
    positions: int64([ids.length], ids.keys()),
    ...noPiece,
    ...emptyCache(session, 1, ids.length),
  };
}

/** A token more of each of so many texts, `past` tokens long. */
export function nextTokens(session: Fed, texts: number, past: number): Record<string, Tensor> {
  const ids = Array.from({ length: texts }, () => 0);
  return {
    input_ids: int64([texts, 1], ids),
    lengths: tensor("int32", [texts], new Int32Array(texts).fill(past + 1)),
    total_length: tensor("int32", [], Int32Array.of(past + 1)),
    positions: int64([texts], ids.keys()),
    ...noPiece,
    ...emptyCache(session, texts, past + 1),
  };
}
