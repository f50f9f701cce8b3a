/** Real data sets, where a machine has them: none has a bad line, and the counts are those that others published. */
import { createReadStream, existsSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { readExamples } from "../../gpu-worker/datasets/read-examples.ts";
import { judge, signal } from "./judge.ts";

const folder = path.resolve(import.meta.dirname, "../../../shared/data");
const missing = !existsSync(folder);
if (missing) console.info("Skipped: judging ../shared/data, which is not on this machine");

const source = (file: string) => ({
  name: path.basename(file),
  bytes: createReadStream(path.join(folder, file)),
});

const sets = [
  { file: "sst2/train.jsonl", form: "single-label", examples: 60_614, labels: 2 },
  { file: "sst2/dev.jsonl", form: "single-label", examples: 6_735, labels: 2 },
  { file: "agnews/train.jsonl", form: "single-label", examples: 10_001, labels: 4 },
  { file: "banking77/train.jsonl", form: "single-label", examples: 10_003, labels: 77 },
  { file: "semeval2010-task8/train.jsonl", form: "relation", examples: 6_400, labels: 19 },
  { file: "chnsenticorp/train.jsonl", form: "single-label", examples: 7_784, labels: 2 },
  { file: "chnsenticorp/dev.jsonl", form: "single-label", examples: 1_150, labels: 2 },
];

describe.skipIf(missing)("real data", () => {
  it.each(sets)("$file", async ({ file, labels, ...expected }) => {
    const { training } = await judge(source(file));
    expect(training).toMatchObject({
      container: "jsonl",
      ...expected,
      bad_examples: 0,
      problems: [],
    });
    expect(training.labels).toHaveLength(labels);
  });

  it("conll2003 has the entities that its authors counted (Tjong Kim Sang and De Meulder 2003, table 2)", async () => {
    const report = await judge(source("conll2003/train.jsonl"), source("conll2003/valid.jsonl"));
    const { training, validation, leakage } = report;
    expect(training).toMatchObject({ form: "tags", examples: 14_041, problems: [] });
    expect(validation).toMatchObject({ form: "tags", examples: 3_250, problems: [] });
    const counts = (labels: typeof training.labels) =>
      Object.fromEntries((labels ?? []).map((each) => [each.label, each.examples]));
    expect(counts(training.labels)).toEqual({ LOC: 7_140, MISC: 3_438, ORG: 6_321, PER: 6_600 });
    expect(counts(validation?.labels ?? null)).toEqual({
      LOC: 1_837,
      MISC: 922,
      ORG: 1_341,
      PER: 1_842,
    });
    expect(leakage?.examples).toBeGreaterThan(0);
  });

  it("is read as examples to train with, as many as the report counts", async () => {
    let tokens = 0;
    let examples = 0;
    for await (const some of readExamples(source("conll2003/valid.jsonl"), {
      form: "tags",
      labels: null,
      signal,
    })) {
      examples += some.length;
      for (const { example } of some) tokens += example.tokens.length;
    }
    // The authors count 51 362 tokens in 3 466 sentences, document marks among the sentences.
    expect({ examples, tokens }).toEqual({ examples: 3_250, tokens: 51_362 });
  });
});
