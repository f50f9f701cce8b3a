/** The check of a training file's head runs at the edge too, with nothing of a runtime's own. */
import { expect, it } from "vitest";
import { judgeHead } from "#contract/training/judge-head.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

it("judges the first bytes of a file inside workerd", () => {
  expect(judgeHead(bytesOf('{"text": "né", "label": "b"}\n'), { complete: true })).toEqual({
    layout: { container: "jsonl" },
    container: "jsonl",
    form: "single-label",
  });
  expect(judgeHead(bytesOf("%PDF-1.7\n"), { complete: false })).toMatchObject({
    problems: [{ line: null, code: "not_text" }],
  });
});
