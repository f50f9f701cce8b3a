/**
 * Texts that nothing else can come instead of, as the tokens that the model's own tokenizer makes of them: a model
 * writes best what it has read so.
 */
import { LRUCache } from "lru-cache";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { tokenBytes, type Vocabulary } from "./vocabulary.ts";

const keptMax = 2_000;

export class ForcedTokens {
  readonly #tokenizer: Tokenizer;
  readonly #vocabulary: Vocabulary;
  readonly #kept = new LRUCache<string, readonly number[]>({ max: keptMax });

  constructor(tokenizer: Tokenizer, vocabulary: Vocabulary) {
    this.#tokenizer = tokenizer;
    this.#vocabulary = vocabulary;
  }

  /** @param final nothing follows but the end, which then comes with it */
  async tokensOf(text: string, final: boolean): Promise<readonly number[]> {
    const end = final ? this.#vocabulary.endTokens.slice(0, 1) : [];
    if (text === "") return end;
    const tokens = this.#kept.get(text) ?? (await this.#encode(text));
    this.#kept.set(text, tokens);
    // What follows may be one token with the last of them.
    return final ? (tokens.length === 0 ? [] : [...tokens, ...end]) : tokens.slice(0, -1);
  }

  /** None where the tokenizer makes no tokens of the text alone. */
  async #encode(text: string): Promise<readonly number[]> {
    const wanted = new TextEncoder().encode(text);
    // SentencePiece puts a space before the text, but not after a line.
    for (const before of ["", "\n"]) {
      const [encoding] = await this.#tokenizer.encode([before + text]);
      const tokens = this.#endOf(encoding?.ids ?? [], wanted);
      if (tokens !== null) return tokens;
    }
    return [];
  }

  /** The last of the tokens that are these bytes together; null: none are. */
  #endOf(ids: readonly number[], wanted: Uint8Array): readonly number[] | null {
    let left = wanted.length;
    let from = ids.length;
    while (left > 0 && from > 0) {
      const bytes = tokenBytes(this.#vocabulary, ids[(from -= 1)] ?? 0);
      const start = left - bytes.length;
      if (bytes.length === 0 || start < 0 || bytes.some((byte, at) => byte !== wanted[start + at]))
        return null;
      left = start;
    }
    return left === 0 ? ids.slice(from) : null;
  }
}
