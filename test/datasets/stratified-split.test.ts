/** What a split by a seed keeps. */
import { expect, it } from "vitest";
import { stratifiedSplit } from "../../gpu-worker/datasets/stratified-split.ts";

const examples = Array.from({ length: 1_000 }, (_, at) => ({
  text: `text ${at}`,
  labels: [at % 10 === 0 ? "rare" : at % 3 === 0 ? "some" : "most"],
}));

const countsOf = (indices: readonly number[]) => {
  const counts: Record<string, number> = {};
  for (const at of indices) {
    const [label = ""] = examples[at]?.labels ?? [];
    counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
};

const texts = (list: readonly { text: string }[], indices: readonly number[]) =>
  indices.map((at) => list[at]?.text).sort();

const keys = (indices: readonly number[]) => new Set(indices.map((at) => at % 20));

it("gives each label its share of both parts, each example to one", () => {
  const { training, validation } = stratifiedSplit(examples, { share: 0.2, seed: 1 });
  expect(countsOf(validation)).toEqual({ rare: 20, some: 60, most: 120 });
  expect([...training, ...validation].sort((a, b) => a - b)).toEqual([...examples.keys()]);
});

it("is the same for a seed in whatever order, and another for another seed", () => {
  const options = { share: 0.1, seed: 7 };
  const once = texts(examples, stratifiedSplit(examples, options).validation);
  const turned = examples.toReversed();
  expect(texts(turned, stratifiedSplit(turned, options).validation)).toEqual(once);
  const other = stratifiedSplit(examples, { share: 0.1, seed: 8 }).validation;
  expect(texts(examples, other)).not.toEqual(once);
});

it("keeps equal texts together, and never gives away all of a label", () => {
  const same = Array.from({ length: 60 }, (_, at) => ({
    text: at % 2 ? `Text ${at % 20}` : ` text  ${at % 20} `,
    labels: ["a"],
  }));
  const { training, validation } = stratifiedSplit(same, { share: 0.3, seed: 1 });
  expect([...keys(training)].filter((key) => keys(validation).has(key))).toEqual([]);
  expect(validation).toHaveLength(18);
  const few = [
    { text: "x", labels: ["once"] },
    { text: "y", labels: [] },
    { text: "z", labels: [] },
  ];
  expect(stratifiedSplit(few, { share: 0.9, seed: 1 }).training).toContain(0);
});

it("counts an example of several labels as one of its rarest", () => {
  const several = Array.from({ length: 100 }, (_, at) => ({
    text: `${at}`,
    labels: at < 10 ? ["common", "rare"] : ["common"],
  }));
  const { validation } = stratifiedSplit(several, { share: 0.2, seed: 3 });
  expect(validation.filter((at) => at < 10)).toHaveLength(2);
  expect(validation).toHaveLength(20);
});

it.each([0, 1, -1, Number.NaN])("refuses the share %d", (share) => {
  expect(() => stratifiedSplit(examples, { share, seed: 1 })).toThrow(RangeError);
});
