/** Texts that share rows, as a decoder's training graph reads them; every token is asked for. */
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

type Token = { readonly id: number; readonly place: number; readonly segment: number };

/**
 * @param rows texts by row, padded on the right
 * @param length of a row
 */
export function packTexts(
  rows: readonly (readonly (readonly number[])[])[],
  length: number,
): Record<string, Tensor> {
  const tokens = rows.flatMap((texts) => {
    const own = texts.flatMap((text, segment) =>
      text.map((id, place): Token => ({ id, place, segment })),
    );
    const padding = Array.from({ length: length - own.length }, (): Token => ({
      id: 0,
      place: 0,
      segment: -1,
    }));
    return [...own, ...padding];
  });
  const grid = (of: (token: Token) => number) => int64([rows.length, length], tokens.map(of));
  const asked = tokens.flatMap(({ segment }, at) => (segment < 0 ? [] : [at]));
  return {
    input_ids: grid(({ id }) => id),
    position_ids: grid(({ place }) => place),
    segment_ids: grid(({ segment }) => segment),
    positions: int64([asked.length], asked),
  };
}
