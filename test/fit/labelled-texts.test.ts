/** Lines of training data: read, or refused all at once. */
import { describe, expect, it } from "vitest";
import { readLabelledTexts } from "../../gpu-worker/fit/labelled-texts.ts";

const names = { text: "text", label: "label" };

describe("readLabelledTexts", () => {
  it("reads the fields named, past empty lines and other fields", () => {
    const content = '{"body":"a","kind":"x","id":1}\n\n{"body":"😀 b","kind":"y"}\r\n';
    expect(readLabelledTexts(content, { text: "body", label: "kind" })).toEqual([
      { text: "a", label: "x" },
      { text: "😀 b", label: "y" },
    ]);
  });

  it("names every bad line with its number and its fix", () => {
    const content = [
      '{"text":"good","label":"x"}',
      "text,label",
      '["good", "x"]',
      '{"text":"no label"}',
      '{"text":"  ","label":"x"}',
      '{"text":3,"label":"x"}',
      '{"text":"a","label":null}',
    ].join("\n");
    const lines = [
      "6 lines cannot be used:",
      "  line 2: it is not JSON. Write one object a line",
      '  line 3: it is no object. Write {"text": "…", "label": "…"}',
      '  line 4: it has no "label". Add it, or name the field that holds it with --label',
      '  line 5: "text" is empty. Take the line out',
      '  line 6: "text" is number. Write it as a string',
      '  line 7: "label" is null. Write it as a string',
    ];
    expect(() => readLabelledTexts(content, names)).toThrow(new Error(lines.join("\n")));
  });

  it("sums up what is past a screenful", () => {
    const content = [...Array.from({ length: 30 }, () => "text,label"), '{"text":"a"}'].join("\n");
    const shown = Array.from(
      { length: 20 },
      (_, at) => `  line ${at + 1}: it is not JSON. Write one object a line`,
    );
    const lines = [
      "31 lines cannot be used:",
      ...shown,
      "  and 10 lines more: it is not JSON. Write one object a line",
      '  and 1 line more: it has no "label". Add it, or name the field that holds it with --label',
    ];
    expect(() => readLabelledTexts(content, names)).toThrow(new Error(lines.join("\n")));
  });
});
