/** The likeliest tags that IOB2 allows, against all sequences of tags there are, each tried. */
import { expect, it } from "vitest";
import { tagFaults } from "../../gpu-worker/datasets/iob2.ts";
import { iob2Path } from "../../gpu-worker/pipelines/iob2-path.ts";
import { softmax } from "../../gpu-worker/tensor/activations.ts";
import { randomFrom } from "../random-from.ts";

const labels = ["I-A", "O", "B-A", "I-B", "B-B"];

function* sequences(length: number): Generator<number[]> {
  if (length === 0) return yield [];
  for (const rest of sequences(length - 1)) {
    for (const label of labels.keys()) yield [...rest, label];
  }
}

const namesOf = (path: readonly number[]) => path.map((label) => labels[label] ?? "");

it("are found among all sequences", () => {
  const below = randomFrom(5);
  for (let time = 0; time < 40; time += 1) {
    const length = 1 + below(4);
    const scores = Array.from({ length }, () =>
      softmax(Float32Array.from(labels, () => below(1000) / 250)),
    );
    const likelihood = (path: readonly number[]) =>
      path.reduce((product, label, at) => product * (scores[at]?.[label] ?? 0), 1);
    const allowed = [...sequences(length)].filter((path) => tagFaults(namesOf(path)).length === 0);
    const best = Math.max(...allowed.map(likelihood));
    const found = iob2Path(scores, labels);
    expect(tagFaults(namesOf(found))).toEqual([]);
    expect(likelihood(found)).toBeCloseTo(best, 12);
  }
});

it("are none of no words", () => {
  expect(iob2Path([], labels)).toEqual([]);
});

it("end where a class has no beginning, or all are impossible", () => {
  expect(iob2Path([[1, 0]], ["I-X", "O"])).toEqual([1]);
  expect(iob2Path([[1], [1]], ["I-X"])).toEqual([0, 0]);
});
