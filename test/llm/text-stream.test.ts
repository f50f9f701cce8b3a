import { describe, expect, it } from "vitest";
import { TextStream, type Decode } from "../../gpu-worker/llm/text-stream.ts";
import { randomFrom } from "../../contract/random.ts";

/** A byte-level vocabulary of pieces cut anywhere in UTF-8: what is not whole is one replacement character. */
function byteLevel(pieces: Uint8Array[]): Decode {
  return (tokens) =>
    new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from(tokens.flatMap((token) => [...(pieces[token] ?? [])])),
    );
}

/** Token = byte, as SentencePiece's byte fallback: a run that is no UTF-8 is a replacement character for each byte. */
const byteFallback: Decode = (tokens) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(tokens),
    );
  } catch {
    return "\uFFFD".repeat(tokens.length);
  }
};

/** Words, the space before the first one dropped, as SentencePiece's decoder does. */
const words: Decode = (tokens) =>
  tokens
    .map((token) => ` w${token}`)
    .join("")
    .slice(1);

function stream(decode: Decode, tokens: number[], before: number[] = []) {
  const text = new TextStream(decode, before);
  return [...tokens.map((token) => text.push(token)), text.finish()];
}

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

describe("text as tokens come", () => {
  it("a character of several tokens is shown when it is whole", () => {
    for (const decode of [
      byteFallback,
      byteLevel(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))),
    ]) {
      expect(stream(decode, bytesOf("a\u4e2d\u{1f600}"))).toEqual([
        "a",
        "",
        "",
        "\u4e2d",
        "",
        "",
        "",
        "\u{1f600}",
        "",
      ]);
    }
  });

  it("the space before a word is kept, the first one of a text is not", () => {
    expect(stream(words, [1, 2, 3])).toEqual(["w1", " w2", " w3", ""]);
    expect(stream(words, [1, 2], [7, 8])).toEqual([" w1", " w2", ""]);
  });

  it("bytes that are no character are shown at the end, or once nothing can complete them", () => {
    const single = byteLevel(Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)));
    expect(stream(single, [0x61, 0xe4, 0xb8])).toEqual(["a", "", "", "\uFFFD"]);
    const broken = stream(single, [0xff, 0xff, 0xff, ...bytesOf("\u{1f600}ok")]);
    expect(broken.join("")).toBe("\uFFFD\uFFFD\uFFFD\u{1f600}ok");
    expect(
      stream(
        single,
        Array.from({ length: 50 }, () => 0xff),
      )
        .slice(0, -1)
        .join("").length,
    ).toBeGreaterThan(40);
  });

  it("is the text of all tokens, without a replacement character, however characters are cut: 3 000 texts", () => {
    const random = randomFrom(2);
    const below = (bound: number) => Math.floor(random() * bound);
    const letters = ["a", " ", "\u00e9", "\u4e2d", "\u{1f600}", "\u0301"];
    for (let round = 0; round < 3_000; round += 1) {
      const text = Array.from({ length: below(20) }, () => letters[below(letters.length)]).join("");
      const bytes = new TextEncoder().encode(text);
      const pieces: Uint8Array[] = [];
      for (let from = 0; from < bytes.length;) {
        const to = from + 1 + below(6);
        pieces.push(bytes.slice(from, to));
        from = to;
      }
      const shown = stream(byteLevel(pieces), [...pieces.keys()]);
      expect(shown.join("")).toBe(text);
      for (const piece of shown) expect(piece).not.toContain("\uFFFD");
      expect(stream(byteFallback, [...bytes]).join("")).toBe(text);
    }
  });
});
