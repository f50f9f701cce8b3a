/** Reads texts piece by piece with a decoder's session; what was kept lies at the beginning of each text's room. */
import { emptyCache, noPiece } from "../../gpu-worker/model/decoder-feeds.ts";
import type { Session } from "../../gpu-worker/runtime/session.ts";
import { int64, tensor } from "../../gpu-worker/tensor/tensor.ts";
import type { Tensor } from "../../gpu-worker/tensor/tensor.ts";

export class TextReader {
  readonly #session: Session;
  #kept: Record<string, Tensor>;
  readonly #lengths: number[];

  /** @param room tokens of the longest text: a cache is longer than what it holds */
  constructor(session: Session, texts: number, room: number) {
    this.#session = session;
    this.#kept = emptyCache(session, texts, room);
    this.#lengths = Array.from({ length: texts }, () => 0);
  }

  /**
   * The logits of all tokens given, by text.
   * @param padding more columns, counted as tokens: what is kept of them is overwritten by those that follow
   */
  async read(pieces: readonly (readonly number[])[], padding = 0): Promise<number[][][]> {
    const sequence = Math.max(...pieces.map((piece) => piece.length)) + padding;
    const asked = pieces.flatMap((piece, at) => piece.map((_, token) => at * sequence + token));
    for (const [at, piece] of pieces.entries()) {
      this.#lengths[at] = (this.#lengths[at] ?? 0) + piece.length;
    }
    const lengths = Int32Array.from(this.#lengths, (length) => length + padding);
    const padded = pieces.map((piece) =>
      Array.from({ length: sequence }, (_, at) => piece[at] ?? 0),
    );
    const { logits, ...present } = await this.#session.run({
      input_ids: int64([pieces.length, sequence], padded.flat()),
      lengths: tensor("int32", [pieces.length], lengths),
      total_length: tensor("int32", [], Int32Array.of(Math.max(sequence, ...lengths))),
      positions: int64([asked.length], asked),
      ...noPiece,
      ...this.#kept,
    });
    const kept = Object.entries(present);
    this.#kept = Object.fromEntries(
      kept.map(([name, value]) => [name.replace("present", "past_key_values"), value]),
    );
    if (logits?.dtype !== "float32") throw new TypeError("a decoder gives logits");
    const width = logits.shape[1] ?? 0;
    let row = 0;
    return pieces.map((piece) =>
      piece.map(() => Array.from(logits.data.subarray(row * width, ++row * width))),
    );
  }
}
