/** What a report tells of good examples, and of two files together. */
import { expect, it, describe } from "vitest";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { embeddedFolder } from "./embedded-folder.ts";
import { readExamples } from "../../gpu-worker/datasets/read-examples.ts";
import { briefly, jsonl, judge, judgeText, signal, sourceOf } from "./judge.ts";

const labelled = (texts: readonly (readonly [string, string])[]) =>
  jsonl(texts.map(([text, label]) => ({ text, label })));
const numbers = (labels: readonly number[]) =>
  jsonl(labels.map((label, at) => ({ text: `${at}`, label })));
const plenty = Array.from({ length: 10 }, (_, at) => [`text ${at}`, at % 2 ? "a" : "b"] as const);

describe("a report", () => {
  it("finds duplicates and conflicts whatever the case and white space", async () => {
    const report = await judgeText(
      labelled([
        ...plenty,
        ["Text  3", "a"],
        [" tEXT 4\t", "a"],
        ["text 3", "a"],
        ["cafe\u0301", "a"],
        ["café", "a"],
      ]),
    );
    expect(report.repeats).toEqual({
      duplicates: 3,
      conflicts: 1,
      first_duplicates: [
        { line: 11, first_line: 4 },
        { line: 13, first_line: 4 },
        { line: 15, first_line: 14 },
      ],
      first_conflicts: [{ line: 12, first_line: 5 }],
    });
    expect(report.problems).toEqual([]);
  });

  it("finds each duplicate among many texts, and nothing else", async () => {
    const many = Array.from(
      { length: 20_000 },
      (_, at) => [`t ${at % 15_000}`, `l${at % 3}`] as const,
    );
    const { repeats } = await judgeText(labelled(many));
    // 15 000 is a multiple of three: each text comes again with its own label.
    expect(repeats).toMatchObject({ duplicates: 5_000, conflicts: 0 });
    expect(repeats.first_duplicates[0]).toEqual({ line: 15_001, first_line: 1 });
    expect(repeats.first_duplicates).toHaveLength(100);
  });

  it("takes two answers to one prompt for no conflict, and the same one for a duplicate", async () => {
    const lines = Array.from({ length: 12 }, (_, at) => ({
      prompt: "a",
      completion: `${at % 11}`,
    }));
    const { repeats } = await judgeText(jsonl(lines));
    expect(repeats).toMatchObject({ duplicates: 1, conflicts: 0 });
  });

  it("does not take two texts side by side for the same two cut elsewhere", async () => {
    const lines = plenty.map(([text]) => ({ text, text_pair: "x", score: 1 }));
    const pairs = [
      { text: "a b", text_pair: "c", score: 1 },
      { text: "a", text_pair: "b c", score: 1 },
    ];
    expect((await judgeText(jsonl([...lines, ...pairs]))).repeats.duplicates).toBe(0);
  });

  it("counts characters, and tokens as the model reads them", async () => {
    const tokenizer = await loadTokenizer(embeddedFolder);
    const texts = ["😀", "a cat", "a".repeat(17), "word ".repeat(300)];
    const lines = labelled([...plenty, ...texts.map((text) => [text, "a"] as const)]);
    const { training } = await judge(sourceOf(lines), null, { tokenizer, tokensMax: 256 });
    expect(training.characters).toMatchObject({
      unit: "characters",
      min: 1,
      median: 6,
      max: 1_500,
    });
    const buckets = training.characters?.buckets ?? [];
    expect(buckets.filter(({ examples }) => examples > 0)).toEqual([
      { up_to: 16, examples: 12 },
      { up_to: 32, examples: 1 },
      { up_to: 2_048, examples: 1 },
    ]);
    // Two special tokens around each.
    expect(training.tokens).toMatchObject({
      min: 3,
      median: 4,
      max: 302,
      model_reads: 256,
      too_long: 1,
    });
    expect(training.notices.join()).toContain("1 example is longer than the 256 tokens");
  });

  it("names what is not read, labels that look alike, and those of one example", async () => {
    const lines = plenty.map(([text, label]) => ({ text, label, source: "web" }));
    const report = await judgeText(jsonl([...lines, { text: "x", label: "A " }]));
    expect(report.ignored_fields).toEqual([{ name: "source", examples: 10 }]);
    expect(report.notices).toEqual([
      "the field source is not read",
      'these labels look alike: "a", "A "',
      "only one example has the label A ",
    ]);
    const plain = await judgeText(jsonl(lines.map(({ text }) => ({ text, sentiment: "good" }))));
    expect(plain.notices.join()).toContain("a label would have to be named label");
  });

  it("asks whether few whole numbers are classes", async () => {
    const few = await judgeText(numbers([0, 1, 0, 1, 0, 1, 0, 1, 0, 1]));
    expect(few).toMatchObject({ form: "regression", problems: [] });
    expect(few.notices.join()).toContain('write them as strings: "label": "0"');
    expect((await judgeText(numbers(Array.from({ length: 30 }, (_, at) => at)))).notices).toEqual(
      [],
    );
    expect(
      (await judgeText(numbers([0.5, 1, 2, 1, 2, 1, 2, 1, 2, 1]))).notices.join(),
    ).not.toContain("classes");
  });

  it("stays small whatever the names in a file", async () => {
    const name = "n".repeat(1_000_000);
    const lines = plenty.map(([text, label], at) => ({ text, label, [`${at}${name}`]: 1 }));
    const tags = {
      tokens: Array.from({ length: 9_000 }, () => "a"),
      tags: Array.from({ length: 9_000 }, () => name.slice(0, 300)),
    };
    expect(JSON.stringify(await judgeText(jsonl(lines))).length).toBeLessThan(10_000);
    const report = await judgeText(jsonl([tags]));
    expect(report.problems.filter(({ line }) => line === 1)).toHaveLength(5);
    expect(JSON.stringify(report).length).toBeLessThan(10_000);
  });

  it.each([
    ["too few examples", labelled(plenty.slice(1)), "too_few_examples"],
    ["one label alone", labelled(plenty.map(([text]) => [text, "a"])), "single_class"],
    ["no entity at all", "a O\nb O\n\n".repeat(10), "single_class"],
  ])("refuses %s", async (_, content, code) => {
    expect(briefly(await judgeText(content))).toEqual([code]);
  });

  it("keeps the form that most lines of the head have: the others are bad lines", async () => {
    const chat = jsonl([{ messages: [{ role: "assistant", content: "a" }] }]);
    const report = await judgeText(`${chat}${labelled(plenty)}${chat}`);
    expect(report).toMatchObject({ form: "single-label", examples: 10 });
    expect(briefly(report)).toEqual(["1 mixed_form", "12 mixed_form"]);
  });

  it("tells the form of a file whose first line is longer than the head", async () => {
    const long = labelled([["a".repeat(100_000), "a"], ...plenty]);
    expect(await judgeText(long)).toMatchObject({
      form: "single-label",
      examples: 11,
      problems: [],
    });
  });
});

describe("examples to train with", () => {
  it("are those that the report counts as good", async () => {
    const many = Array.from({ length: 1_010 }, (_, at) => [`t ${at}`, `l${at}`] as const);
    const content = `${labelled(many)}{"text":"x"}\n${labelled([
      ["t 0", "l1"],
      ["t 1", "l1005"],
    ])}`;
    const report = await judgeText(content);
    expect(report.problem_counts).toEqual({ too_many_labels: 11, missing: 1 });
    const labels = new Set(report.labels?.map(({ label }) => label));
    const read = [];
    const options = { form: "single-label", labels, signal } as const;
    for await (const some of readExamples(sourceOf(content), options)) read.push(...some);
    expect(read).toHaveLength(report.examples);
    expect(read.at(-1)).toEqual({ line: 1_012, example: { text: "t 0", label: "l1" } });
  });

  it("are none of a file that is no data set", async () => {
    const options = { form: "text", labels: null, signal } as const;
    for await (const some of readExamples(sourceOf("%PDF-1.7\n"), options))
      expect(some).toEqual([]);
  });
});

describe("two files", () => {
  it("have texts in common, and labels that the first has not", async () => {
    const validation = labelled([
      ["TEXT 1", "a"],
      ["text 2", "a"],
      ["new", "a"],
      ["new too", "c"],
    ]);
    const report = await judge(sourceOf(labelled(plenty)), sourceOf(validation));
    expect(report.leakage).toEqual({
      examples: 2,
      conflicts: 1,
      first: [
        { line: 1, first_line: 2 },
        { line: 2, first_line: 3 },
      ],
    });
    expect(report.training.problems).toEqual([]);
    expect(report.validation && briefly(report.validation)).toEqual(["4 unknown_label"]);
  });

  it("are of one form, in whatever containers", async () => {
    const csv = "text,label\nnew,a\n";
    const good = await judge(sourceOf(labelled(plenty)), sourceOf(csv));
    expect(good.validation).toMatchObject({ container: "csv", examples: 1, problems: [] });
    const other = await judge(sourceOf(labelled(plenty)), sourceOf("text\na\n"));
    expect(other.validation && briefly(other.validation)).toEqual(["2 missing label"]);
  });
});

describe("however a file arrives", () => {
  it("its report is the same", async () => {
    const rows = plenty.map(([text, label]) => `"${text}\r\n""é😀""",${label}`);
    const contents = [
      `\ufeff${labelled(plenty)}{"text": "é😀"}\r\n`,
      ["text,label", ...rows, '"a', "b,c"].join("\r\n"),
      "Ada B-PER\r\né😀 O\r\n\r\nx\r\n",
    ];
    for (const content of contents) {
      const whole = await judgeText(content);
      for (const chunkBytes of [1, 2, 3, 7, 50]) {
        const { training } = await judge(sourceOf(content, null, chunkBytes));
        expect(training).toEqual(whole);
      }
    }
  });
});
