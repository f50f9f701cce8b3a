/** What is visibly no data set is told from its first 64 KiB; anything that may be one is let through. */
import { deflateRawSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { judgeHead } from "#contract/training/judge-head.ts";
import { trainingLimits } from "#contract/training/limits.ts";
import { decodeUtf8 } from "#contract/training/utf8.ts";
import { randomFrom } from "../../random-from.ts";

const example = '{"text": "a", "label": "b"}\n';
const { headBytes } = trainingLimits;

/** The container and form, or the codes of what is wrong. */
function judged(content: string | Uint8Array, name: string | null = null) {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const complete = bytes.length <= headBytes;
  const head = judgeHead(bytes.subarray(0, headBytes), { name, complete });
  if ("problems" in head) return head.problems.map(({ code }) => code).join(" ");
  return `${head.container} ${head.form}`;
}

describe("the head of a file", () => {
  it.each<[string, string | Uint8Array, string]>([
    ["nothing", "", "empty_file"],
    ["blank lines", "\n \r\n\n", "empty_file"],
    ["a byte order mark alone", "\ufeff", "empty_file"],
    ["gzip", gzipSync(example), "not_text"],
    [
      "a spreadsheet",
      Buffer.concat([Buffer.from("PK\x03\x04"), deflateRawSync(example)]),
      "not_text",
    ],
    ["a PDF", "%PDF-1.7\n", "not_text"],
    ["UTF-16 with its mark", Buffer.from(`\ufeff${example}`, "utf16le"), "utf16"],
    ["UTF-16 without", Buffer.from(example, "utf16le"), "not_text"],
    ["NULs", Buffer.alloc(1_000), "not_text"],
    ["Latin-1", Buffer.from("é".repeat(100), "latin1"), "invalid_utf8"],
    ["a list of JSON", `[${example}]`, "json_document"],
    [
      "an object over several lines",
      JSON.stringify({ text: "a", label: "b" }, null, 2),
      "json_document",
    ],
    ["a header of no form", "review,stars\ngood,5\nbad,1\n", "unknown_columns"],
    ["a header without rows", "text,label\n", "empty_file"],
    ["prose", "Once upon a time, there was\na king.\n", "unknown_container"],
    ["fields of no form", '{"review": "a"}\n', "unknown_form"],
    ["half an object", '{"text": "a"', "invalid_json"],
    ["one line of more than the head", "a".repeat(2 * headBytes), "line_too_long"],
  ])("refuses %s", (_, content, says) => {
    expect(judged(content)).toBe(says);
  });

  it.each<[string, string, string]>([
    ["one line", example, "jsonl single-label"],
    ["one line without an end", example.trim(), "jsonl single-label"],
    [
      "bad lines beside good ones",
      `not json\n${example}`.replace("not", "{not"),
      "jsonl single-label",
    ],
    ["a form that most lines have", `{"prompt": "a"}\n${example.repeat(2)}`, "jsonl single-label"],
    ["a line of more than the head", `{"text": "${"a".repeat(2 * headBytes)}"}\n`, "jsonl null"],
    ["a head that ends within a line", example.repeat(10_000), "jsonl single-label"],
    [
      "a head that ends within a character",
      `${example.repeat(2_340)}{"text":"${"é".repeat(99)}"}`,
      "jsonl single-label",
    ],
    ["a record over lines", 'text,label\n"a\nb",c\n', "csv single-label"],
    ["a column of texts", "text\na\n", "csv text"],
    ["tokens with their tags", "a O\nb B-X\n", "conll tags"],
  ])("takes %s", (_, content, says) => {
    expect(judged(content)).toBe(says);
  });

  it("takes plain text by its name, and nothing else by its name", () => {
    expect(judged("Once upon a time\n", "story.TXT")).toBe("text text");
    expect(judged("[1] a footnote\n", "story.txt")).toBe("text text");
    expect(judged(example, "story.txt")).toBe("jsonl single-label");
    expect(judged("a O\nb B-X\n", "train.txt")).toBe("conll tags");
    expect(judged("Once upon a time\n", "story.jsonl")).toBe("unknown_container");
  });
});

describe("decoding UTF-8 without a runtime", () => {
  it("agrees with the runtime's own decoder", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const expected = (bytes: Uint8Array) => {
      try {
        return decoder.decode(bytes);
      } catch {
        return null;
      }
    };
    const random = randomFrom(1);
    const pieces = ["a", "%", "%41", "\0", "é", "漢", "😀", "\ufeff"].map((text) =>
      Buffer.from(text),
    );
    const broken = [
      [0x80],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xe6, 0xbc],
      [0xff],
    ];
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = Buffer.concat(
        Array.from({ length: random(6) }, () =>
          random(4) === 0
            ? Buffer.from(broken[random(broken.length)] ?? [])
            : (pieces[random(pieces.length)] ?? Buffer.alloc(0)),
        ),
      );
      expect(decodeUtf8(bytes)).toBe(expected(bytes));
    }
  });
});
