/** Every form in every container that has it, and each way in which a line of it can be wrong. */
import { describe, expect, it } from "vitest";
import { FormName, forms } from "#contract/training/forms.ts";
import { Problem, wordsOfProblem } from "#contract/training/problems.ts";
import { briefly, jsonl, judgeText } from "./judge.ts";

/** Twelve good lines of a form, of two labels where it has some. */
function linesOf(form: FormName): object[] {
  return Array.from({ length: 12 }, (_, at) => {
    const { example }: { example: Record<string, unknown> } = forms[form];
    const text = {
      text: form === "relation" ? example["text"] : `${at} ${String(example["text"])}`,
    };
    const label = typeof example["label"] === "string" ? { label: at % 2 ? "a" : "b" } : {};
    return { ...example, ...("text" in example && form !== "spans" ? text : {}), ...label };
  });
}

describe("JSON Lines", () => {
  it.each(FormName.options)("hold examples of the form %s", async (form) => {
    const report = await judgeText(jsonl(linesOf(form)));
    expect(report).toMatchObject({
      container: "jsonl",
      form,
      task: forms[form].task,
      examples: 12,
    });
    expect(report.problems).toEqual([]);
  });

  it("take a number as label for a score, and labels for label", async () => {
    const scores = await judgeText(
      jsonl(Array.from({ length: 10 }, (_, at) => ({ text: `${at}`, label: at }))),
    );
    expect(scores).toMatchObject({ form: "regression", examples: 10, problems: [] });
    const labels = await judgeText(
      jsonl(Array.from({ length: 10 }, (_, at) => ({ text: `${at}`, labels: ["x", `${at}`] }))),
    );
    expect(labels).toMatchObject({ form: "multi-label", problems: [], ignored_fields: [] });
    expect(labels.labels?.[0]).toEqual({ label: "x", examples: 10 });
  });

  it("may have CR LF, a byte order mark, blank lines and no last line end", async () => {
    const content = `\ufeff${jsonl(linesOf("single-label")).replaceAll("\n", "\r\n\r\n").trimEnd()}`;
    expect(await judgeText(content)).toMatchObject({
      examples: 12,
      problems: [],
      form: "single-label",
    });
  });
});

describe("tables", () => {
  const rows = Array.from({ length: 12 }, (_, at) => [
    `"${at}, said ""he""\nand left"`,
    at % 2 ? "a" : "b",
  ]);

  it.each([
    ["csv", ","],
    ["csv", ";"],
  ])("as %s with %s have quotes and line ends inside fields", async (container, delimiter) => {
    const content = [["text", "label"], ...rows].map((row) => row.join(delimiter)).join("\n");
    const report = await judgeText(content);
    expect(report).toMatchObject({ container, form: "single-label", examples: 12, problems: [] });
    expect(report.labels).toEqual([
      { label: "a", examples: 6 },
      { label: "b", examples: 6 },
    ]);
  });

  it("as TSV have no quoting: a quote is a character", async () => {
    const content = ["text\tlabel", ...rows.map((_, at) => `"${at}\t${at % 3}`)].join("\r\n");
    const report = await judgeText(content);
    expect(report).toMatchObject({
      container: "tsv",
      form: "single-label",
      examples: 12,
      problems: [],
    });
    expect(report.characters).toMatchObject({ min: 2, max: 3 });
  });

  it.each([
    ["text,score", "A,0.5", "regression"],
    ["text,text_pair,score", "A,B,-1e3", "similarity"],
    ["text,text_pair", "A,B", "pairs"],
    ["text,text_pair,negative", "A,B,C", "pairs"],
    ["prompt,completion", "A,B", "completion"],
    ["text,label", "The <e1>a</e1> <e2>b</e2>,x", "relation"],
    ["text", "A", "text"],
    ["id,text,label", "1,A,x", "single-label"],
  ])("with the columns %s", async (header, row, form) => {
    const content = `${header}\n${`${row}\n`.repeat(10)}${row.replace(/x$/, "y")}\n`;
    const report = await judgeText(content);
    expect(report).toMatchObject({ form, problems: [], examples: 11 });
  });

  it("name a row without its columns, a score that is none, and a quote that was forgotten alone", async () => {
    const good = Array.from({ length: 10 }, (_, at) => `${at},${at}`);
    const content = ["text,score", ...good, "a,b,1", "a,much", "a,", 'a "b,1', "c,2"].join("\n");
    const report = await judgeText(content);
    expect(briefly(report)).toEqual([
      "12 column_count",
      "13 wrong_type score",
      "14 wrong_type score",
      "15 csv_quotes",
    ]);
    expect(report.examples).toBe(11);
  });
});

describe("CoNLL", () => {
  it("has sentences of two columns or four, documents and comments", async () => {
    const two = "# from somewhere\nAda B-PER\nslept O\n\n".repeat(10);
    expect(await judgeText(two)).toMatchObject({
      container: "conll",
      form: "tags",
      examples: 10,
      problems: [],
    });
    const four = `-DOCSTART- -X- -X- O\n\n${"EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n".repeat(10)}`;
    expect(await judgeText(four, "eng.train")).toMatchObject({
      container: "conll",
      examples: 10,
      problems: [],
      labels: [{ label: "ORG", examples: 10 }],
    });
  });

  it("names the line of a token, and what to write instead", async () => {
    const report = await judgeText(
      `${"Ada B-PER\nslept O\n\n".repeat(10)}in O\nNew I-LOC\nYork I-LOC\n\nx\n`,
    );
    expect(briefly(report)).toEqual(["32 tag_continues_nothing tags[1]", "35 column_count"]);
    const [problem] = report.problems;
    expect(problem && wordsOfProblem(problem)).toBe(
      "line 32: tags[1] is I-LOC, but no entity of its label comes before it: write B-LOC",
    );
  });
});

/** A bad line among eleven good ones of the form, and what is said of it. */
const faults: readonly (readonly [FormName, object | string, string])[] = [
  ["single-label", { text: "a" }, "missing label"],
  ["single-label", { text: "a", label: null }, "wrong_type label"],
  ["single-label", { text: "a", label: 3 }, "wrong_type label"],
  ["single-label", { text: "a", label: "" }, "empty label"],
  ["single-label", { text: " ", label: "a" }, "empty text"],
  ["single-label", { text: ["a"], label: "a" }, "wrong_type text"],
  ["single-label", { text: "a", label: ["a"] }, "wrong_type label"],
  ["single-label", { text: "a\0", label: "a" }, "nul_character text"],
  ["single-label", { messages: [] }, "mixed_form"],
  ["single-label", { text: "<e1>a</e1> <e2>b</e2>", label: "a" }, "mixed_form"],
  ["single-label", '{"text": "a", "text": "b", "label": "a"}', "duplicate_key text"],
  ["single-label", '{"text": "a", "label": "b"', "invalid_json"],
  ["single-label", '["a", "b"]', "not_an_object"],
  ["single-label", `{"text": "a", "x": ${"[".repeat(40)}${"]".repeat(40)}}`, "too_deep"],
  ["single-label", `{"text": "a", "x": [${"1,".repeat(100_000)}1]}`, "too_many_values"],
  ["multi-label", { text: "a", label: "a" }, "wrong_type label"],
  ["multi-label", { text: "a", label: 3 }, "wrong_type label"],
  ["multi-label", { text: "a", label: ["a", 1] }, "wrong_type label[1]"],
  ["multi-label", { text: "a", label: ["a", " "] }, "empty label[1]"],
  ["regression", '{"text": "a", "score": 1e999}', "wrong_type score"],
  ["regression", { text: "a", label: "3" }, "wrong_type label"],
  ["regression", { text: "a" }, "missing score"],
  ["similarity", { text: "a", text_pair: "b", score: "1" }, "wrong_type score"],
  ["pairs", { text: "a" }, "missing text_pair"],
  ["pairs", { text: "a", text_pair: "b", negative: " " }, "empty negative"],
  ["pairs", { text: "a", text_pair: "b", negative: 1 }, "wrong_type negative"],
  ["text", { text: "a", label: "b" }, "mixed_form"],
  ["completion", { prompt: "a" }, "missing completion"],
  ["completion", { prompt: "a", completion: "" }, "empty completion"],
  ["chat", { messages: [] }, "empty messages"],
  ["chat", { messages: [{ role: "user", content: "a" }] }, "no_assistant"],
  [
    "chat",
    {
      messages: [
        { role: "assistant", content: "a" },
        { role: "user", content: "a" },
      ],
    },
    "last_not_assistant",
  ],
  ["chat", { messages: [{ role: "robot", content: "a" }] }, "invalid_value messages[0].role"],
  ["chat", { messages: [{ content: "a" }] }, "missing messages[0].role"],
  ["chat", { messages: [{ role: "user" }] }, "missing messages[0].content"],
  ["chat", { messages: [{ role: "user", content: null }] }, "wrong_type messages[0].content"],
  ["chat", { messages: [{ role: "user", content: "" }] }, "empty messages[0].content"],
  [
    "chat",
    { messages: [{ role: "user", content: "a", weight: 1 }] },
    "unknown_field messages[0].weight",
  ],
  [
    "chat",
    { messages: [{ role: "assistant", content: "a", weight: 2 }] },
    "invalid_value messages[0].weight",
  ],
  ["chat", { messages: [{ role: "assistant", content: "a", weight: 0 }] }, "no_assistant"],
  [
    "chat",
    { messages: [{ role: "assistant", content: "a", tool_calls: [] }] },
    "unknown_field messages[0].tool_calls",
  ],
  ["tags", { tokens: ["a"], tags: ["O", "O"] }, "lengths_differ tags"],
  ["tags", { tokens: ["a"], tags: ["I-X"] }, "tag_continues_nothing tags[0]"],
  ["tags", { tokens: ["a", "b"], tags: ["B-X", "I-Y"] }, "tag_continues_nothing tags[1]"],
  ["tags", { tokens: ["a"], tags: ["S-X"] }, "unknown_tag tags[0]"],
  ["tags", { tokens: [" "], tags: ["O"] }, "empty tokens[0]"],
  ["tags", { tokens: [], tags: ["O"] }, "empty tokens"],
  [
    "spans",
    { text: "ab", entities: [{ start: 0, end: 3, label: "X" }] },
    "span_outside entities[0]",
  ],
  [
    "spans",
    { text: "ab", entities: [{ start: 1, end: 1, label: "X" }] },
    "span_outside entities[0]",
  ],
  [
    "spans",
    { text: "a b", entities: [{ start: 1, end: 2, label: "X" }] },
    "span_blank entities[0]",
  ],
  [
    "spans",
    { text: "ab", entities: [{ start: -1, end: 2, label: "X" }] },
    "invalid_value entities[0].start",
  ],
  [
    "spans",
    { text: "ab", entities: [{ start: 0.5, end: 2, label: "X" }] },
    "wrong_type entities[0].start",
  ],
  [
    "spans",
    {
      text: "abc",
      entities: [
        { start: 0, end: 2, label: "X" },
        { start: 1, end: 3, label: "X" },
      ],
    },
    "spans_overlap entities[1]",
  ],
  ["relation", { text: "<e1>a</e1> b", label: "x" }, "wrong_marks text"],
  ["relation", { text: "a b", label: "x" }, "wrong_marks text"],
  [
    "question-answering",
    { question: "a", context: "abc", answers: { text: ["c"], answer_start: [1] } },
    "answer_elsewhere answers[0]",
  ],
  [
    "question-answering",
    { question: "a", context: "abc", answers: { text: ["c"], answer_start: [] } },
    "lengths_differ answers",
  ],
  ["question-answering", { question: "a", context: "abc" }, "missing answers"],
  ["question-answering", { question: "a", context: "abc", answers: "c" }, "wrong_type answers"],
];

describe("a bad line", () => {
  it.each(faults)("of %s: %j is %s", async (form, bad, says) => {
    const lines = linesOf(form)
      .slice(1)
      .map((line) => JSON.stringify(line));
    lines.splice(5, 0, typeof bad === "string" ? bad : JSON.stringify(bad));
    const report = await judgeText(lines.join("\n"));
    expect(briefly(report)).toEqual([`6 ${says}`]);
    expect(report).toMatchObject({ form, examples: 11, bad_examples: 1 });
    // All places of the words are filled, and a person is told what to do.
    for (const problem of report.problems) {
      expect(Problem.parse(problem)).toEqual(problem);
      expect(wordsOfProblem(problem)).toMatch(/^line 6: [^{}]+: ./);
    }
  });

  it("says what is missing with an example of it", async () => {
    const { problems } = await judgeText(jsonl([...linesOf("single-label"), { text: "a" }]));
    expect(problems.map(wordsOfProblem)).toEqual([
      'line 13: label is missing: add it: "label": "positive"',
    ]);
  });

  it("says where an answer does stand, in code points", async () => {
    const line = { question: "a", context: "😀😀 abc", answers: [{ text: "c", answer_start: 7 }] };
    const { problems } = await judgeText(jsonl([...linesOf("question-answering"), line]));
    expect(problems[0]?.fix).toContain("it first stands at 5");
    const right = { ...line, answers: [{ text: "c", answer_start: 5 }] };
    expect((await judgeText(jsonl([...linesOf("question-answering"), right]))).problems).toEqual(
      [],
    );
  });
});
