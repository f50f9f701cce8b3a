/** How a training does with fewer of its examples: measured where it is not clearly better, and told by its report. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClassRows } from "../../gpu-worker/evaluation/held-out.ts";
import { makeReport } from "../../gpu-worker/evaluation/make-report.ts";
import { randomFrom } from "../../contract/random.ts";
import {
  type LabelCurve,
  measureLabelCurve,
  ofExamples,
  type SmallerEnd,
} from "../../gpu-worker/training/label-curve.ts";
import { Divergence } from "../../gpu-worker/training/run-training.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { classRows, reportInput } from "../evaluation/report-input.ts";
import { writeChattyDecoder } from "./chatty-decoder.ts";
import { madeTexts, reportOf, tune, writeLines } from "./tune-bench.ts";

const rows = 800;

/** Right on so many of 200 held-out rows, beside a base that is right on 160. */
function answered(right: number): ClassRows {
  const { expected, ...held } = classRows(["a", "b"], 100);
  const said = (count: number) => ({
    values: expected.map((label, at) => (at < count ? label : "neither")),
  });
  return { ...held, expected, base: said(160), tuned: said(right) };
}

/** Of an error of 1.6 / √rows. */
const rightAfter = (size: number) => Math.round(200 * (1 - 1.6 / Math.sqrt(size)));

/** @param slower by which factor the runs of fewer examples take longer than their share */
async function measured(changes: Partial<LabelCurve> = {}, maxSeconds = 200, slower = 1) {
  const told: SmallerEnd[] = [];
  const asked: (readonly number[])[] = [];
  const allowed: number[] = [];
  let ms = 0;
  const curve: LabelCurve = {
    labels: rows / 2,
    rows,
    seconds: 100,
    trainWith: async ({ examples, maxSeconds: most }) => {
      asked.push(examples);
      allowed.push(most);
      ms += (slower * 100_000 * examples.length) / rows;
      return answered(rightAfter(examples.length));
    },
    ...changes,
  };
  const bounds = { folder: "none", seed: 1, maxSeconds, now: () => ms };
  const onSmaller = (end: SmallerEnd) => told.push(end);
  const whole = answered(rightAfter(rows));
  const points = await measureLabelCurve(curve, whole, { ...bounds, onSmaller });
  return { points, asked, told, allowed };
}

function failing(error: Error) {
  return () => Promise.reject(error);
}

describe("sizes of a training", () => {
  it("are an eighth, a quarter and a half of its rows, those of one within the next", async () => {
    const { points, asked, told } = await measured();
    expect(asked.map((each) => each.length)).toEqual([100, 200, 400]);
    for (const [at, each] of asked.entries()) {
      expect(new Set(each).size).toBe(each.length);
      expect(each.every((row) => row >= 0 && row < rows)).toBe(true);
      expect(asked[at + 1] ?? each).toEqual(expect.arrayContaining([...each]));
    }
    // Two rows were made of each example.
    expect(points.map(({ labels }) => labels)).toEqual([50, 100, 200, 400]);
    expect(points.map(({ score }) => score)).toEqual(
      [100, 200, 400, 800].map((size) => rightAfter(size) / 200),
    );
    expect(told.map(({ metric, labels }) => [metric, labels])).toEqual([
      ["accuracy", 50],
      ["accuracy", 100],
      ["accuracy", 200],
    ]);
  });

  it("tell about how many more labels would show a gain", () => {
    // 0.805 beside 0.8, which chance may do: a law of 3.9/√labels comes beyond that with some hundreds more.
    const heldOut = answered(161);
    const last = { labels: 400, score: 161 / 200 };
    const law = [50, 100, 200].map((labels) => ({ labels, score: 1 - 3.9 / Math.sqrt(labels) }));
    const { verdict } = makeReport(reportInput(heldOut, { sizes: [...law, last] }));
    expect(verdict.decision).toBe("more_labels");
    expect(verdict.more_labels).toBeGreaterThan(0);
  });

  it("are none of few examples, where time is short, or where a training came to nothing", async () => {
    expect((await measured({ rows: 127 })).points).toEqual([]);
    const late = await measured({}, 187);
    expect([late.points, late.asked]).toEqual([[], []]);
    expect((await measured({}, 188)).points).toHaveLength(4);
    const plan = { strategy: "full", learningRate: 9, lora: { rank: 8, alpha: 16 } } as const;
    const diverged = failing(new Divergence(plan));
    expect((await measured({ trainWith: diverged })).points).toEqual([]);
    const broken = failing(new Error("broken"));
    await expect(measured({ trainWith: broken })).rejects.toThrow("broken");
  });

  it("share the seconds that are left, and are given up where they take longer than those", async () => {
    expect((await measured()).allowed).toEqual([100, 87.5, 62.5]);
    const slow = await measured({}, 200, 2);
    expect(slow.allowed).toEqual([100, 75]);
    expect(slow.points).toEqual([]);
  });

  it("are of the rows that were drawn, in their batches too", () => {
    const fed: (readonly number[])[] = [];
    const of = ofExamples(
      {
        rows: [{ ids: [0] }, { ids: [1] }, { ids: [2] }, { ids: [3] }],
        data: {
          task: { name: "masked-lm" },
          feeds: (indices) => {
            fed.push(indices);
            return {};
          },
          rowsOf: (indices) => indices.map((at) => ({ ids: [at, at] })),
        },
      },
      [1, 3],
    );
    expect(of.rows).toEqual([{ ids: [1] }, { ids: [3] }]);
    of.data.feeds([1, 0], 1, 0);
    expect(fed).toEqual([[3, 1]]);
    expect(of.data.rowsOf?.([1], 0)).toEqual([{ ids: [3, 3] }]);
  });
});

describe("a model that is not clearly better", () => {
  let bench: CatalogBench;
  let data: string;

  beforeAll(async () => {
    bench = await openCatalogBench();
    await writeTinyEncoder(bench.local("tiny"));
    const chance = randomFrom(5);
    // Labels that no text tells.
    const lines = madeTexts(160).map((text) => ({ text, label: chance() < 0.5 ? "x" : "y" }));
    data = await writeLines(path.join(bench.folder, "train.jsonl"), lines);
  });
  afterAll(() => bench.close());

  it.each(["full", "lora", "head"] as const)("by %s is trained with fewer", async (strategy) => {
    const out = bench.local(strategy);
    const said = await tune(bench, { model: "tiny", data, out, strategy, epochs: 2 });
    const { verdict, learning_curve, training_rows } = reportOf(out);
    expect(verdict.decision).not.toBe("deploy");
    const sizes = [1 / 8, 1 / 4, 1 / 2, 1].map((share) => Math.floor(training_rows * share));
    expect(learning_curve.sizes.map(({ labels }) => labels)).toEqual(sizes);
    const told = said.filter((line) => line.startsWith("Trained with "));
    expect(told).toHaveLength(3);
    expect(told[0]).toMatch(
      /^Trained with 16 examples, to tell what more would bring: accuracy 0\./,
    );
    expect(verdict.reasons.join()).not.toContain("was not measured");
  });

  it("that writes is too", async () => {
    await writeChattyDecoder(bench.local("chatty"));
    const chats = Array.from({ length: 160 }, (_, at) => ({
      messages: [
        { role: "user", content: `w${10 + (at % 8)} w${20 + (at % 5)}` },
        { role: "assistant", content: `w${25 + (at % 10)}` },
      ],
    }));
    const file = await writeLines(path.join(bench.folder, "chats.jsonl"), chats);
    const out = bench.local("still");
    // At next to no rate nothing is learnt.
    const command = { model: "chatty", strategy: "lora", epochs: 1, learningRate: 1e-9 } as const;
    await tune(bench, { ...command, data: file, out });
    const { verdict, learning_curve, training_rows, comparisons } = reportOf(out);
    expect(verdict.decision).toBe("no_gain");
    expect(learning_curve.sizes.map(({ labels }) => labels)).toEqual(
      [1 / 8, 1 / 4, 1 / 2, 1].map((share) => Math.floor(training_rows * share)),
    );
    const { tuned } = comparisons[0] ?? {};
    for (const { score } of learning_curve.sizes) expect(score / (tuned ?? 0)).toBeCloseTo(1, 2);
  });
});
