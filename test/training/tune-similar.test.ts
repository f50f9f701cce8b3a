/** Texts that are alike: tuned by the command, served from the folder it wrote as vectors. */
import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { sentenceSimilarity } from "../../gpu-worker/pipelines/sentence-similarity.ts";
import { cosinesOf } from "../../gpu-worker/training/similar-texts.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { madeTexts, namesIn, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

const made = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");
const texts = madeTexts(320).map((text) => text.replaceAll(/lazy|dog/g, "a"));
const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });

async function learn(lines: readonly object[], options: object = {}) {
  const file = (name: string) => path.join(bench.folder, name);
  const [trained, heldOut] = [lines.slice(0, 240), lines.slice(240)];
  const data = await writeLines(file("train.jsonl"), trained);
  const validation = await writeLines(file("held-out.jsonl"), heldOut);
  const out = bench.local("tuned");
  const usual = { model: "tiny", epochs: 20, learningRate: 1e-2, ...options };
  const said = await tune(bench, { ...usual, data, validation, out });
  return { said, out, report: reportOf(out) };
}

type Asked = { source_sentence: string; sentences: string[] };

/** As the service answers. */
async function served(inputs: Asked[]): Promise<number[][]> {
  const model = await acquireEncoder(await bench.open(), "tuned");
  const task = "sentence-similarity" as const;
  const request = { task, inputs, parameters: {} };
  const { outputs } = await runner.run(sentenceSimilarity, request, model, { signal: never });
  return outputs;
}

const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

const count = (text: string, word: string) =>
  text.split(" ").filter((each) => each === word).length;

describe("scored pairs", () => {
  const lines = texts.map((text, at) => {
    const other = texts[(at * 7 + 3) % texts.length] ?? "";
    const apart = Math.abs(count(text, "quick") - count(other, "quick"));
    return { text, text_pair: other, score: 5 - Math.min(5, 2 * apart) };
  });

  it("are learnt, and their cosines served as they were judged", async () => {
    const { report, said } = await learn(lines);
    expect(said.at(-2)).toMatch(/BASE MODEL +TUNED/);
    expect(report).toMatchObject({ task: "sentence-similarity", base_kind: "base_model" });
    const [spearman, pearson] = report.comparisons;
    expect([spearman?.metric, pearson?.metric]).toEqual(["spearman", "pearson"]);
    expect(spearman?.tuned).toBeGreaterThan((spearman?.base ?? 1) + 0.2);
    expect(spearman?.interval?.low).toBeGreaterThan(0);
    const heldOut = lines.slice(240);
    const asked = heldOut.map((line) => ({
      source_sentence: line.text,
      sentences: [line.text_pair],
    }));
    const cosines = (await served(asked)).flat();
    expect(
      correlation(
        cosines,
        heldOut.map(({ score }) => score),
      ),
    ).toBeCloseTo(pearson?.tuned ?? NaN, 4);
  });

  it("of another scale than cosines are moved to it by the training examples", () => {
    expect([0, 0.5, -1].map(cosinesOf([-1, 0.3, 1]))).toEqual([0, 0.5, -1]);
    expect([0, 2.5, 5, 6].map(cosinesOf([0, 4, 5]))).toEqual([0, 0.5, 1, 1]);
    expect([1, 3].map(cosinesOf([1, 5]))).toEqual([0, 0.5]);
    expect([7].map(cosinesOf([7, 7]))).toEqual([0]);
  });
});

const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;

/** Of the first step. */
const lossIn = (folder: string) =>
  Number(readFileSync(path.join(folder, "metrics.csv"), "utf8").split(/[\n,]/)[6]);

function correlation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [a, b].map((values) => values.map((value) => value - mean(values)));
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

/** Each word has another that belongs to it. */
const other: Readonly<Record<string, string>> = {
  a: "a",
  quick: "fox",
  fox: "brown",
  brown: "quick",
};
const turned = (text: string) =>
  text
    .split(" ")
    .map((word) => other[word] ?? word)
    .join(" ");

describe("pairs", () => {
  const lines = texts.map((text) => ({ text, text_pair: turned(text) }));

  it("are learnt, and found as they were judged", async () => {
    const { report, out } = await learn(lines);
    const [mrr, recall] = report.comparisons;
    expect([mrr?.metric, recall?.metric]).toEqual(["mean_reciprocal_rank", "recall_at_1"]);
    expect(mrr?.tuned).toBeGreaterThan((mrr?.base ?? 1) + 0.2);
    expect(report.mcnemar?.p).toBeLessThan(0.05);
    const heldOut = lines.slice(240);
    const seconds = [...new Set(heldOut.map(({ text_pair: second }) => second))];
    const belonging = Map.groupBy(heldOut, ({ text }) => text);
    const asked = heldOut.map(({ text, text_pair: own }) => {
      const others = new Set(belonging.get(text)?.map((each) => each.text_pair));
      const sentences = seconds.filter((second) => second === own || !others.has(second));
      return { source_sentence: text, sentences };
    });
    const cosines = await served(asked);
    const found = heldOut.filter(({ text_pair: own }, at) => {
      const nearest = Math.max(...(cosines[at] ?? []));
      return asked[at]?.sentences[cosines[at]?.indexOf(nearest) ?? -1] === own;
    });
    expect(found.length / heldOut.length).toBeCloseTo(recall?.tuned ?? NaN, 1);
    const modules = JSON.parse(readFileSync(path.join(out, "modules.json"), "utf8"));
    expect(modules.map(({ path: folder }: { path: string }) => folder)).toEqual([
      "",
      "1_Pooling",
      "2_Normalize",
    ]);
    expect(namesIn(out)).toEqual(namesIn(bench.local("tiny")));
  });

  it("may have negatives, which are candidates too", async () => {
    const with3 = lines.map((line, at) =>
      at % 2 === 0 ? line : { ...line, negative: lines[(at + 1) % lines.length]?.text_pair },
    );
    const { report } = await learn(with3, { epochs: 1 });
    const plain = bench.local("plain");
    const data = await writeLines(path.join(bench.folder, "plain.jsonl"), lines.slice(0, 240));
    const validation = path.join(bench.folder, "held-out.jsonl");
    await tune(bench, { model: "tiny", data, validation, out: plain, epochs: 1 });
    expect(report.comparisons).toHaveLength(2);
    expect(lossIn(bench.local("tuned"))).toBeGreaterThan(lossIn(plain));
  });
});

it.each([
  ["deberta-v2-tags", "DebertaV2Model"],
  ["electra-masks", "ElectraModel"],
  ["xlm-roberta-tags", "XLMRobertaModel"],
])("%s becomes an encoder of sentences", async (base, className) => {
  await cp(path.join(made, base), bench.local(base), { recursive: true });
  const lines = texts.map((text) => ({ text, text_pair: turned(text) }));
  const { out } = await learn(lines, { model: base, epochs: 1, strategy: "top-k" });
  const config = JSON.parse(readFileSync(path.join(out, "config.json"), "utf8"));
  expect(config.architectures).toEqual([className]);
  const [cosines] = await served([{ source_sentence: "a fox", sentences: ["a fox"] }]);
  expect(cosines?.[0]).toBeCloseTo(1, 5);
});

it.each([
  [
    "st-distilbert-dense-residual",
    /has a (dense|normalize) stage after its pooling, which is not trained/,
  ],
  ["st-electra-truncated", /keeps \d+ numbers of its vectors: not trained/],
  ["st-bert-without-prompt", /leaves its prompt's tokens out of its vectors/],
])("%s is trained as it is served, or refused", async (base, words) => {
  await cp(path.join(made, base), bench.local(base), { recursive: true });
  const lines = texts.map((text) => ({ text, text_pair: turned(text) }));
  const told = learn(lines, { model: base, epochs: 1 }).then(
    () => "it was tuned",
    (error: Error) => error.message,
  );
  expect(await told).toMatch(words);
});
