/**
 * More examples out of a few: the shipped encoder and classifier judge for real what a script writes, and what edits
 * make. Of each edit it is checked what it may change, of each candidate that its scores are what the tasks say.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  augmentationDefaults,
  type AugmentationParameters,
  type LabelledExample,
} from "../../contract/tasks/augmentation.ts";
import { planOf } from "../../contract/augmentation/augmentation-plan.ts";
import { cpuBatchPolicy, type RunOptions, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { ServedModel } from "../../gpu-worker/model/served-model.ts";
import { writtenText } from "../../gpu-worker/augmentation/written-text.ts";
import { augmentation } from "../../gpu-worker/pipelines/augmentation.ts";
import { sentenceSimilarity } from "../../gpu-worker/pipelines/sentence-similarity.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { madeUpDecoder } from "../jobs/random-model.ts";
import { type ScriptedEngine, scriptedEngine } from "./scripted-engine.ts";

let bench: CatalogBench;
let minilm: ServedModel;
let sentiment: ServedModel;
const runners: TaskRunner[] = [];

beforeAll(async () => {
  bench = await openCatalogBench();
  const catalog = await bench.open();
  minilm = await catalog.acquire("all-MiniLM-L6-v2", never);
  sentiment = await catalog.acquire("sentiment-en", never);
});
afterAll(async () => {
  await Promise.all(runners.map((runner) => runner.close()));
  await bench.close();
});

const usual: AugmentationParameters = {
  ...augmentationDefaults,
  methods: [...augmentationDefaults.methods],
  generator: null,
  zero_shot: true,
};

/** Answers in turn, whatever is asked. */
async function writing(answers: readonly string[]): Promise<ScriptedEngine> {
  const { tokenizer } = minilm;
  const [end = 0] = madeUpDecoder(tokenizer).endTokens;
  const ids = (await tokenizer.encode([...answers])).map((encoded) => encoded.ids);
  const turns = new Map<object, number>();
  return scriptedEngine((request, _, position) => {
    const turn = turns.get(request) ?? turns.size;
    turns.set(request, turn);
    return ids[turn]?.[position] ?? end;
  });
}

type Asked = {
  parameters?: Partial<AugmentationParameters>;
  judge?: ServedModel;
  engine?: ScriptedEngine;
  options?: Partial<RunOptions>;
};

async function augment(
  examples: LabelledExample[],
  { parameters = {}, judge = minilm, engine, options = {} }: Asked = {},
) {
  const runner = new TaskRunner({
    policy: cpuBatchPolicy,
    now: () => 0,
    ...(engine && { openEngine: () => engine }),
  });
  runners.push(runner);
  const acquire = async (id: string) =>
    id === "decoder" ? madeUpDecoder(minilm.tokenizer) : minilm;
  const request = {
    task: "augmentation" as const,
    inputs: [{ examples }],
    parameters: { ...usual, ...parameters },
  };
  const { outputs, usage } = await runner.run(augmentation, request, judge, {
    signal: never,
    acquire,
    ...options,
  });
  const [report] = outputs;
  if (report === undefined) throw new Error("there is no report");
  return { report, usage };
}

const sources: LabelledExample[] = [
  { text: "The brown cat sleeps in the old barn today", label: "animals" },
  { text: "My dog runs over the green field every morning", label: "animals" },
  { text: "Seven plus twelve makes nineteen, says the teacher", label: "arithmetic" },
  { text: "Please divide ninety by fifteen and add the rest", label: "arithmetic" },
];

async function textsOf(seed: number): Promise<string[]> {
  const { report } = await augment(sources, { parameters: { seed } });
  return report.candidates.map(({ text }) => text);
}

const seedsOf = ({ requests }: ScriptedEngine) => requests.map(({ sampling }) => sampling.seed);
const wordsOf = (text: string) => text.split(" ");
const sorted = (items: Iterable<string>) => [...items].toSorted().join("|");
const open = { similarity_min: -1, similarity_max: 1 };

describe("edits", () => {
  it("change what their name says, and nothing else", async () => {
    const parameters = { ...open, per_example: 8, edit_share: 0.2, methods: usual.methods };
    const { report } = await augment(sources, { parameters });
    expect(new Set(report.candidates.map(({ method }) => method))).toEqual(new Set(usual.methods));
    for (const { text, source, method } of report.candidates) {
      const before = sources[source]?.text ?? "";
      const changed = wordsOf(text).filter((word, at) => word !== wordsOf(before)[at]).length;
      switch (method) {
        case "delete":
          // A fifth of eight or nine words.
          expect(wordsOf(text)).toHaveLength(wordsOf(before).length - 2);
          expect(wordsOf(before).join(" ")).toMatch(
            new RegExp(wordsOf(text).join("(?: \\S+)* "), "u"),
          );
          break;
        case "swap":
          expect(sorted(wordsOf(text))).toBe(sorted(wordsOf(before)));
          expect(changed).toBeGreaterThan(1);
          break;
        case "transpose":
          expect(wordsOf(text).map(sorted)).toEqual(wordsOf(before).map(sorted));
          expect(changed).toBe(2);
          break;
        default:
          expect(text).toHaveLength(before.length);
          expect([...text].filter((letter, at) => letter !== before[at])).toHaveLength(2);
          expect(changed).toBe(2);
      }
    }
  });

  it("of capitals are near copies to an encoder that does not see them", async () => {
    const { report } = await augment(sources, { parameters: { methods: ["case"] } });
    expect(report.rejected.near_copy + report.rejected.duplicate).toBe(report.tried);
  });

  it("are the same of the same seed, and others of another", async () => {
    const first = await textsOf(3);
    expect(await textsOf(3)).toEqual(first);
    expect(await textsOf(4)).not.toEqual(first);
  });

  it("leave alone what has nothing to edit", async () => {
    const odd = ["!", "雪", "a", "👩‍👩‍👧"].map((text) => ({ text, label: "animals" }));
    const { report } = await augment([...odd, ...sources.slice(2)], { parameters: open });
    expect(report.candidates.every(({ source }) => source >= odd.length)).toBe(true);
    expect(report.rejected.not_made).toBe(odd.length * usual.per_example);
  });
});

describe("what is kept", () => {
  it("has the scores that the tasks give, within the band, and is counted whole", async () => {
    const told: number[][] = [];
    const options: Partial<RunOptions> = { onProgress: (...at) => told.push(at) };
    const { report, usage } = await augment(sources, { options });
    const { candidates, rejected, tried, kept } = report;
    expect(tried).toBe(sources.length * usual.per_example);
    expect(kept).toBe(candidates.length);
    expect(kept + Object.values(rejected).reduce((sum, count) => sum + count, 0)).toBe(tried);
    expect(usage.promptTokens).toBe(report.cost.prompt_tokens);
    expect(told.at(-1)).toEqual([1, 1]);
    expect(new Set(candidates.map(({ text }) => text)).size).toBe(kept);
    const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
    const { outputs } = await runner.run(
      sentenceSimilarity,
      {
        task: "sentence-similarity",
        inputs: candidates.map(({ text, source }) => ({
          source_sentence: sources[source]?.text ?? "",
          sentences: [text],
        })),
        parameters: {},
      },
      minilm,
      { signal: never },
    );
    for (const [at, { scores, label, source }] of candidates.entries()) {
      expect(label).toBe(sources[source]?.label);
      expect(scores.similarity).toBeCloseTo(outputs[at]?.[0] ?? 0, 4);
      expect(scores.similarity).toBeGreaterThanOrEqual(usual.similarity_min);
      expect(scores.similarity).toBeLessThanOrEqual(usual.similarity_max);
    }
  });

  it("has the label of the shipped classifier, where that is the judge", async () => {
    const films = [
      { text: "I loved every minute of this wonderful film", label: "positive" },
      { text: "A dull, lifeless and boring film", label: "negative" },
    ];
    const written = [
      "what a wonderful film, i loved it",
      "i hated every minute of this awful film",
    ];
    const engine = await writing([
      written[0] ?? "",
      "a boring and lifeless film",
      written[1] ?? "",
    ]);
    const parameters = {
      ...open,
      methods: ["paraphrase" as const],
      per_example: 2,
      generator: "decoder",
      zero_shot: false,
    };
    const { report } = await augment(films, { parameters, judge: sentiment, engine });
    expect(report.judge).toEqual({ model: "sentiment-en", by: "classifier" });
    // Answers come in the order of the sources: the second is of the first film, and of the other label.
    expect(report.rejected).toMatchObject({ label_changed: 1 });
    expect(report.candidates[0]).toMatchObject({ source: 0, label: "positive" });
    expect(report.candidates[0]?.scores.label).toBeGreaterThan(0.5);
  });

  it("is no text that is too long, or of whose label the judge is less sure than was asked", async () => {
    const one = [{ text: "I loved every minute of this wonderful film", label: "positive" }];
    const long = `what a wonderful film ${"and wonderfully ".repeat(80)}`;
    const answers = [long, "a wonderful film", "i loved this film"];
    const written = { ...open, methods: ["paraphrase" as const], generator: "decoder" };
    const rules = { per_example: 3, max_tokens: 256, zero_shot: false };
    const judged = async (label_score_min: number) => {
      const parameters = { ...written, ...rules, label_score_min };
      const engine = await writing(answers);
      return (await augment(one, { parameters, judge: sentiment, engine })).report;
    };
    const { candidates, rejected } = await judged(0);
    expect(rejected).toMatchObject({ too_long: 1, label_score: 0 });
    const scores = candidates.map(({ scores: { label } }) => label);
    expect(scores).toHaveLength(2);
    // Just above the lower of the two.
    const strict = await judged(Math.min(...scores) + 1e-6);
    expect(strict.rejected).toMatchObject({ too_long: 1, label_score: 1 });
    expect(strict.candidates.map(({ scores: { label } }) => label)).toEqual([Math.max(...scores)]);
  });

  it("is refused a judge that does not know the labels", async () => {
    const parameters = { zero_shot: false };
    await expect(augment(sources, { parameters, judge: sentiment })).rejects.toMatchObject({
      code: "invalid_value",
      param: "judge",
      message: expect.stringMatching(/knows no label "animals"/),
    });
  });
});

describe("what a model writes", () => {
  const [cat] = sources;
  if (cat === undefined) throw new Error("there is an example");
  const other = { text: "Nine minus four", label: "arithmetic" };
  const base = { generator: "decoder", generated_max: 100, similarity_min: 0.4 };

  it("is tidied, and refused by the reason", async () => {
    const answers = [
      'sure, here is the text: " in the old barn the brown cat is asleep "',
      "...",
      "the brown cat sleeps in the old barn today",
      "the parliament voted on a new tax law",
      "in the old barn the brown cat is asleep",
    ];
    const parameters = { ...base, methods: ["paraphrase" as const], per_example: 5 };
    const { report } = await augment([{ ...cat, text: cat.text.toLowerCase() }], {
      parameters,
      engine: await writing(answers),
    });
    expect(report.candidates.map(({ text }) => text)).toEqual([
      "in the old barn the brown cat is asleep",
    ]);
    expect(report.rejected).toMatchObject({ not_made: 1, duplicate: 2, too_far: 1 });
    expect(report.cost.answers).toBe(5);
  });

  it("is the first line that says something, without marks around it", () => {
    expect(writtenText("Here is the rewritten text:\n\n“It’s late.”\n\nNote: shorter.")).toBe(
      "It’s late.",
    );
    expect(writtenText("1. Don't ask 'why'\n2. Ask")).toBe("Don't ask 'why'");
    expect(writtenText("OK, thanks for the book: a delight")).toBe("a delight");
    expect(writtenText("...\n—")).toBeNull();
  });

  it("goes there and back in translation, and fills a gap in its text", async () => {
    const engine = await writing(["le chat brun dort", "the brown cat is sleeping in a barn"]);
    const parameters = { ...base, methods: ["back_translation" as const], per_example: 1 };
    const { report } = await augment([cat], { parameters, engine });
    expect(report.candidates.map(({ text }) => text)).toEqual([
      "the brown cat is sleeping in a barn",
    ]);
    const asked = engine.requests.map(({ prompt }) => minilm.tokenizer.decode([...prompt]));
    expect(asked[0]).toContain("from english into french");
    expect(asked[1]).toMatch(/from french into english.*le chat brun dort/s);

    const filling = await writing(["lazy", "a whole sentence that says much more"]);
    const slots = { ...base, methods: ["slot" as const], per_example: 2 };
    const filled = (await augment([cat], { parameters: slots, engine: filling })).report;
    const [{ text = "" } = {}] = filled.candidates;
    expect(wordsOf(text).filter((word) => !wordsOf(cat.text).includes(word))).toEqual(["lazy"]);
    expect(filled.rejected.not_made).toBe(1);
  });

  it("is bounded: edits stand in for the rest, and all are of the same seed", async () => {
    const engine = await writing([]);
    const methods = ["paraphrase" as const, "swap" as const];
    const parameters = { ...base, methods, per_example: 4, generated_max: 3 };
    const { report } = await augment([cat, other], { parameters, engine });
    expect(engine.requests).toHaveLength(3);
    expect(report.tried).toBe(8);
    expect(new Set(engine.requests.map(({ sampling }) => sampling.seed)).size).toBe(3);
    const again = await writing([]);
    await augment([cat, other], { parameters, engine: again });
    expect(seedsOf(again)).toEqual(seedsOf(engine));
    // Guessing several tokens at once would round another way each time.
    expect(engine.requests.map(({ repeatable }) => repeatable)).toEqual([true, true, true]);
  });

  it("is spread over all examples", () => {
    const plan = planOf(100, {
      methods: ["paraphrase", "style"],
      per_example: 1,
      generated_max: 10,
    });
    expect(plan).toHaveLength(10);
    expect(plan.filter(({ method }) => method === "style")).toHaveLength(5);
    expect(new Set(plan.map(({ example }) => Math.floor(example / 10))).size).toBe(10);
  });

  it("ends with the signal", async () => {
    const abort = new AbortController();
    const engine = scriptedEngine(() => {
      abort.abort(new Error("enough"));
      return 100;
    });
    const options = { signal: abort.signal };
    const parameters = { ...base, methods: ["style" as const] };
    await expect(augment([cat], { parameters, engine, options })).rejects.toThrow("enough");
  });
});
