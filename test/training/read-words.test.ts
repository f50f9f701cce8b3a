/** A table of the words that are read alone comes out as the whole one does, also of a training that goes on. */
import { afterAll, expect, it } from "vitest";
import { RuntimeError } from "../../gpu-worker/runtime/session.ts";
import { int64 } from "../../gpu-worker/tensor/tensor.ts";
import { withReadWords, withWholeTable, wordsOf } from "../../gpu-worker/training/read-words.ts";
import type { TrainStep } from "../../gpu-worker/training/train-step.ts";
import { trainingGraphs } from "../../gpu-worker/training/training-graphs.ts";
import { elementsOf, openTagger, TrainingBench } from "./training-bench.ts";

const { config, weights } = openTagger();
const table = "bert.embeddings.word_embeddings.weight";

const rows = [
  [5, 9, 14, 3, 22],
  [7, 31, 2],
  [5, 5, 9, 31, 2],
];
const words = wordsOf([{ rows: rows.slice(0, 2).map((ids) => ({ ids })) }, { rows: [] }], 0);
const read = { table, words };

const bench = new TrainingBench(1);
afterAll(() => weights.close());

async function train(isCompact: boolean): Promise<TrainStep> {
  const source = isCompact ? withReadWords(weights, read) : weights;
  const graphs = trainingGraphs(config, source, {
    task: { name: "token-classification" },
    isTrained: () => true,
    shapesRate: 1,
    ...(isCompact && { words }),
  });
  return bench.train({ ...graphs, weights: source });
}

function batch(texts: readonly (readonly number[])[], seed: number) {
  const length = Math.max(...texts.map((ids) => ids.length));
  const grid = (of: (id: number | undefined) => number) =>
    int64(
      [texts.length, length],
      texts.flatMap((ids) => Array.from({ length }, (_, at) => of(ids[at]))),
    );
  return {
    input_ids: grid((id) => id ?? 0),
    attention_mask: grid((id) => (id === undefined ? 0 : 1)),
    token_type_ids: grid(() => 0),
    labels: grid((id) => (id === undefined ? -100 : id % 3)),
    seed: int64([], [seed]),
  };
}

async function takeSteps(training: TrainStep, seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) {
    const texts = [rows[seed % 3] ?? [], rows[(seed + 1) % 3] ?? []];
    await training.step(batch(texts, seed), { learningRate: 0.01 * seed });
  }
}

const parametersOf = ({ updated, read: readOf }: TrainStep) =>
  readOf(updated.filter((name) => weights.entry(name) !== null));

it("is what the whole table becomes, to the rows that nothing reads", async () => {
  expect(words).toEqual([0, 2, 3, 5, 7, 9, 14, 22, 31]);
  const seeds = [1, 2, 3, 4, 5, 6];
  const [whole, compact] = [await train(false), await train(true)];
  await takeSteps(whole, seeds);
  await takeSteps(compact, seeds.slice(0, 3));

  // Goes on from what was saved.
  const saved = await compact.read(compact.updated);
  const resumed = await train(true);
  await resumed.write(saved, 3);
  for (const training of [compact, resumed]) await takeSteps(training, seeds.slice(3));
  expect(await resumed.read(resumed.updated)).toEqual(await compact.read(compact.updated));

  const expected = await parametersOf(whole);
  const trained = await parametersOf(compact);
  expect(trained.get(table)?.shape).toEqual([words.length + 1, expected.get(table)?.shape[1]]);
  const found = withWholeTable(trained, weights, read);
  expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [name, tensor] of expected) {
    expect(found.get(name)?.shape).toEqual(tensor.shape);
    const own = elementsOf(found.get(name));
    const apart = elementsOf(tensor).map((value, at) => Math.abs(value - (own[at] ?? NaN)));
    expect(Math.max(...apart), name).toBeLessThan(1e-6);
  }
  // Decay has changed the others.
  const start = elementsOf(weights.read(table));
  const [, width = 0] = weights.entry(table)?.shape ?? [];
  const [before, after] = [start, elementsOf(found.get(table))].map((all) => all[width] ?? NaN);
  expect((after ?? NaN) / (before ?? NaN)).toBeCloseTo(
    seeds.reduce((left, seed) => left * (1 - 0.01 * seed * 0.01), 1),
    6,
  );

  // Evaluations read the trained rows.
  const feeds = batch(rows, 0);
  const logits = async (training: TrainStep) =>
    elementsOf((await training.evaluate(feeds))["logits"]);
  const [one, other] = [await logits(whole), await logits(compact)];
  for (const [at, logit] of one.entries()) expect(other[at]).toBeCloseTo(logit, 5);
});

it("fails for a token that it lacks", async () => {
  const compact = await train(true);
  await expect(compact.evaluate(batch([[5, 6]], 0))).rejects.toThrow(RuntimeError);
});
