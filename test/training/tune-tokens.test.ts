/** Token classifiers: tuned by the command, served from the folder it wrote. */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Entity } from "#contract/tasks/token-classification.ts";
import { readAdapter } from "../../gpu-worker/checkpoints/adapter-folder.ts";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { tokenClassification } from "../../gpu-worker/pipelines/token-classification.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { copyFolder, madeTexts, namesIn, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

/** An animal, with whatever it is called before it. */
const animal = /(?:brown |quick )*foxs?/g;

type Span = { start: number; end: number; label: string };

function entitiesIn(text: string): Span[] {
  return [...text.matchAll(animal)].map(({ index, 0: found }) => ({
    start: index,
    end: index + found.length,
    label: "ANIMAL",
  }));
}

function tagsOf(text: string) {
  const entities = entitiesIn(text);
  let end = -1;
  const tokens = text.split(" ");
  const tags = tokens.map((token) => {
    const start = end + 1;
    end = start + token.length;
    const own = entities.find((each) => each.start <= start && end <= each.end);
    if (own === undefined) return "O";
    return own.start === start ? "B-ANIMAL" : "I-ANIMAL";
  });
  return { tokens, tags };
}

/** Of those that the service reads without cutting them: `foxs` is two tokens. */
const texts = madeTexts(280)
  .filter((text) => text.replaceAll("foxs", "fox s").split(" ").length <= 14)
  .slice(0, 240);
const [trained, heldOut] = [texts.slice(0, 180), texts.slice(180)];

const file = (name: string) => path.join(bench.folder, name);

async function writeData(of: (text: string) => object, examples = trained) {
  return {
    data: await writeLines(file("train.jsonl"), examples.map(of)),
    validation: await writeLines(file("held-out.jsonl"), heldOut.map(of)),
  };
}

async function find(id: string, inputs: readonly string[]): Promise<Entity[][]> {
  const model = await acquireEncoder(await bench.open(), id);
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const task = "token-classification" as const;
  const parameters = { aggregation_strategy: "first" as const };
  const request = { task, inputs: [...inputs], parameters };
  return (await runner.run(tokenClassification, request, model, { signal: never })).outputs;
}

const keys = (list: readonly { start: number; end: number }[]) =>
  list.map(({ start, end }) => `${start} ${end}`);

/** Of entities by their exact places. */
function f1(found: readonly (readonly Entity[])[]): number {
  const said = found.map(keys);
  const meant = heldOut.map((text) => keys(entitiesIn(text)));
  const hits = said.flatMap((list, at) => list.filter((key) => meant[at]?.includes(key))).length;
  return (2 * hits) / (said.flat().length + meant.flat().length);
}

const learning = { model: "tiny", epochs: 30, learningRate: 3e-2 } as const;

describe.each([
  ["tags", tagsOf],
  ["spans", (text: string) => ({ text, entities: entitiesIn(text) })],
] as const)("%s", (_, of) => {
  it("are learnt, and served as they were evaluated", async () => {
    const out = bench.local("tuned");
    await tune(bench, { ...learning, ...(await writeData(of)), out });
    const report = reportOf(out);
    expect(report).toMatchObject({ task: "token-classification", held_out_rows: 60 });
    const [score] = report.comparisons;
    expect(score).toMatchObject({ metric: "entity_f1", base: 0 });
    expect(score?.tuned).toBeGreaterThan(0.5);
    expect(f1(await find("tuned", heldOut))).toBeCloseTo(score?.tuned ?? NaN, 10);
    const { id2label } = JSON.parse(readFileSync(path.join(out, "config.json"), "utf8"));
    expect(id2label).toEqual({ 0: "O", 1: "B-ANIMAL", 2: "I-ANIMAL" });
  });
});

/** What the vocabulary, in lower case, cannot tell. */
function loudTags(text: string) {
  const tokens = text
    .split(" ")
    .map((word, at) => (text.length % (at + 2) === 0 ? word.toUpperCase() : word));
  return { tokens, tags: tokens.map((word) => (word === word.toUpperCase() ? "B-LOUD" : "O")) };
}

describe("words' shapes", () => {
  it.each(["full", "lora"] as const)(
    "are learnt by %s, and served as they were evaluated",
    async (strategy) => {
      const out = bench.local("tuned");
      await tune(bench, { ...learning, epochs: 8, strategy, ...(await writeData(loudTags)), out });
      const [score] = reportOf(out).comparisons;
      expect(score?.tuned).toBeGreaterThan(0.9);
      const own = JSON.parse(readFileSync(path.join(out, "llm-os.json"), "utf8"));
      expect(own).toMatchObject({ formatVersion: 1, word_shapes: true });
      const lines = heldOut.map(loudTags);
      const found = await find(
        "tuned",
        lines.map(({ tokens }) => tokens.join(" ")),
      );
      const said = found.map((list) => list.map(({ word }) => word));
      const meant = lines.map(({ tokens, tags }) =>
        tokens.filter((_, at) => tags[at] === "B-LOUD"),
      );
      const hits = said.flatMap((list, at) =>
        list.filter((word) => meant[at]?.includes(word)),
      ).length;
      const served = (2 * hits) / (said.flat().length + meant.flat().length);
      expect(served).toBeCloseTo(score?.tuned ?? NaN, 10);
    },
  );

  it("are refused where llm-os.json does not say so", async () => {
    const out = bench.local("tuned");
    await tune(bench, {
      ...learning,
      epochs: 1,
      strategy: "lora",
      ...(await writeData(loudTags)),
      out,
    });
    const saved = path.join(out, "llm-os.json");
    const own = readFileSync(saved, "utf8");
    await writeFile(saved, own.replace('"word_shapes": true', '"word_shapes": false'));
    await expect(readAdapter(out)).rejects.toThrow(
      "is served with word_shapes: true in llm-os.json",
    );
  });
});

const made = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");

/** Each with a file that transformers saved of the class that is tuned. */
const families = [
  ["bert-masks", "bert-tags", true],
  ["distilbert-masks", "distilbert-tags", true],
  ["roberta-masks", "roberta-tags", false],
] as const;

it.each(families)("%s gets the names of tensors of %s", async (base, tagger, readsShapes) => {
  await copyFolder(path.join(made, base), bench.local(base));
  const out = bench.local("tuned");
  await tune(bench, {
    model: base,
    ...(await writeData(tagsOf, trained.slice(0, 16))),
    out,
    epochs: 1,
  });
  const shapes = /word_shape_embeddings/;
  const others = namesIn(out).filter((name) => !shapes.test(name));
  expect(others).toEqual(namesIn(path.join(made, tagger)));
  // What their vocabularies lose of case is given back by a table of word shapes.
  expect(namesIn(out).some((name) => shapes.test(name))).toBe(readsShapes);
  await expect(find("tuned", ["a fox"])).resolves.toHaveLength(1);
});

it("refuses what it cannot learn from, by name", async () => {
  const out = bench.local("tuned");
  const of = (text: string) => ({ ...tagsOf(text), tags: text.split(" ").map(() => "O") });
  const learn = async (command: object) => tune(bench, { ...learning, ...command, out } as never);
  await expect(learn(await writeData(of))).rejects.toThrow("all examples have the label none");
  const files = await writeData(tagsOf);
  await expect(learn({ ...files, strategy: "head" })).rejects.toThrow("use --strategy full");
  const chats = await writeData((text) => ({ prompt: text, completion: text }));
  await expect(learn(chats)).rejects.toThrow("tiny writes no text: completion trains");
});
