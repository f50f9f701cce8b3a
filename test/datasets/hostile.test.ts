/** Files that nobody means, each judged in a process of its own whose memory is measured. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { judgeFile } from "../../gpu-worker/datasets/judge-file.ts";
import { randomFrom } from "../random-from.ts";
import { briefly, judge, judgeText, signal, sourceOf } from "./judge.ts";

const script = path.join(import.meta.dirname, "judge-hostile.ts");

/**
 * Beyond what a small file takes: the table of a million digests (32 MiB, 16 more while it grows), and what V8 leaves
 * uncollected. The files have a hundred megabytes or more, or would take more if what is in them were kept.
 */
const grownMebibytesMax = 256;

const files: readonly (readonly [string, object])[] = [
  [
    "a line of a gigabyte",
    {
      bad_examples: 1,
      problem_counts: { file_too_large: 1, line_too_long: 1 },
      first: ["null file_too_large"],
    },
  ],
  ["a quote that is never closed", { problem_counts: { file_too_large: 1, line_too_long: 1 } }],
  ["commas alone", { problem_counts: { file_too_large: 1, line_too_long: 1 } }],
  [
    "NULs after a good head",
    { examples: 5_000, problem_counts: { file_too_large: 1, line_too_long: 1 } },
  ],
  ["a sentence without end", { examples: 10_000, first: ["30001 too_long"] }],
  [
    "a label for each line",
    { examples: 1_000, problem_counts: { too_many_labels: 199_000 }, listed: 1_000 },
  ],
  ["more texts than may be", { examples: 1_000_000, problem_counts: { too_many_examples: 1 } }],
  ["fields of many names", { examples: 40_000 }],
  ["quotes that swallow", { problem_counts: { csv_quotes: 200_000 }, listed: 1_000 }],
  ["bad values without end", { problem_counts: { too_long: 8 } }],
];

describe("memory stays bounded over", () => {
  it.each(files)("%s", async (name, expected) => {
    const { stdout } = await promisify(execFile)(process.execPath, [script, name]);
    const { first, ...report } = JSON.parse(stdout);
    const {
      first: firstExpected = [],
      problem_counts: counts = {},
      ...others
    } = expected as Record<string, object>;
    expect(report).toMatchObject({ ...others, problem_counts: counts });
    expect(first).toEqual(expect.arrayContaining(firstExpected as string[]));
    expect(report.grownMebibytes).toBeLessThan(grownMebibytesMax);
  });
});

const good = Array.from({ length: 10 }, (_, at) => `{"text":"t${at}","label":"${at % 2}"}\n`).join(
  "",
);

describe("among good lines", () => {
  it.each<[string, Uint8Array | string, string]>([
    ["broken UTF-8", Buffer.from('{"text":"\xe9","label":"0"}\n', "latin1"), "11 invalid_utf8"],
    ["a NUL", '{"text":"\0","label":"0"}\n', "11 invalid_json"],
    ["a NUL in an escape", '{"text":"\\u0000","label":"0"}\n', "11 nul_character text"],
    ["a key of the prototype", '{"__proto__":{"label":"0"},"text":"x"}\n', "11 missing label"],
    ["an inherited name", '{"constructor":1,"toString":2}\n', "11 missing text,11 missing label"],
    ["a number past all numbers", '{"text":1e999,"label":"0"}\n', "11 wrong_type text"],
    ["a hundred thousand levels", `${"[".repeat(100_000)}\n`, "11 too_deep"],
    [
      "a label of two thousand letters",
      `{"text":"x","label":"${"a".repeat(2_000)}"}\n`,
      "11 too_long label",
    ],
    [
      "a text of two million",
      `{"text":"${"a".repeat(2_000_000)}","label":"0"}\n`,
      "11 too_long text",
    ],
    [
      "a line of five million",
      `{"text":"${"a".repeat(5_000_000)}","label":"0"}\n`,
      "11 line_too_long",
    ],
    ["half a line", '{"text":"x","la', "11 invalid_json"],
  ])("%s is one bad line", async (_, bad, says) => {
    const content = Buffer.concat([Buffer.from(good), Buffer.from(bad)]);
    const report = await judgeText(content);
    expect(briefly(report).join()).toBe(says);
    expect(report).toMatchObject({ examples: 10, bad_examples: 1 });
  });

  it("keys of the prototype are no fields and change nothing", async () => {
    const report = await judgeText(`${good}{"text":"x","label":"0","__proto__":{"polluted":1}}\n`);
    expect(report).toMatchObject({ examples: 11, problems: [] });
    expect(report.ignored_fields).toEqual([{ name: "__proto__", examples: 1 }]);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
    const csv = await judgeText(`text,label,__proto__\n${"x,0,y\n".repeat(10)}z,1,y\n`);
    expect(csv).toMatchObject({ examples: 11, problems: [] });
  });

  it("a label may be named as what objects inherit", async () => {
    const lines = ["constructor", "__proto__"].map(
      (label) => `{"text":"${label}","label":"${label}"}\n`,
    );
    const { labels, problems } = await judgeText(lines.join("").repeat(5));
    expect(problems).toEqual([]);
    expect(labels?.map(({ label }) => label).sort()).toEqual(["__proto__", "constructor"]);
  });
});

async function* broken() {
  yield Buffer.from(good);
  throw new Error("the connection is lost");
}

describe("judging", () => {
  it("passes on what a source throws, and ends its reading where it is aborted", async () => {
    await expect(judge({ name: null, bytes: broken() })).rejects.toThrow("the connection is lost");
    let closed = false;
    const controller = new AbortController();
    async function* endless() {
      try {
        for (;;) yield Buffer.from(good.repeat(100));
      } finally {
        closed = true;
      }
    }
    const onProgress = (bytes: number) => {
      if (bytes > 1_000_000) controller.abort(new Error("enough"));
    };
    const options = { tokens: null, training: null, onProgress };
    const judging = judgeFile(
      { name: null, bytes: endless() },
      { ...options, signal: AbortSignal.any([signal, controller.signal]) },
    );
    await expect(judging).rejects.toThrow("enough");
    expect(closed).toBe(true);
  });

  it("of bytes that mean nothing ends in a report, the same however they come", async () => {
    const random = randomFrom(3);
    for (let round = 0; round < 300; round += 1) {
      const bytes = Buffer.from(good);
      for (let change = 0; change < 8; change += 1) {
        bytes[random(bytes.length)] = random(256);
      }
      const report = await judgeText(bytes);
      const inPieces = sourceOf(bytes, null, 1 + random(40));
      expect((await judge(inPieces)).training).toEqual(report);
      const lines = bytes
        .toString("latin1")
        .split("\n")
        .filter((line) => line.trim() !== "").length;
      if (report.form !== null) expect(report.examples + report.bad_examples).toBe(lines);
      else expect(report.problems).not.toEqual([]);
    }
    expect(await judge(sourceOf(""))).toMatchObject({ training: { bytes: 0, container: null } });
  });
});
