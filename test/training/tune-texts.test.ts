/** Text classifiers: tuned by the command, served from the folder it wrote. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSafetensors } from "../../gpu-worker/weights/safetensors-reader.ts";
import { type CatalogBench, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import { classify, madeTexts, reportOf, tune, writeLines, namesIn } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

const made = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");
const texts = madeTexts(240);
const [trained, heldOut] = [texts.slice(0, 180), texts.slice(180)];

async function writeData(of: (text: string) => object) {
  const lines = (part: readonly string[]) => part.map((text) => ({ text, ...of(text) }));
  return {
    data: await writeLines(path.join(bench.folder, "train.jsonl"), lines(trained)),
    validation: await writeLines(path.join(bench.folder, "held-out.jsonl"), lines(heldOut)),
  };
}

const animalOf = (text: string) => (text.includes("quick") ? "fox" : "none");
const partsOf = (text: string) => ["brown", "quick"].filter((word) => text.includes(word));
const scoreOf = (text: string) => text.split(" ").filter((word) => word === "quick").length;

describe("one label each", () => {
  it("is learnt, and served as it was evaluated", async () => {
    const files = await writeData((text) => ({ label: animalOf(text) }));
    const out = bench.local("tuned");
    const said = await tune(bench, {
      model: "tiny",
      ...files,
      out,
      epochs: 20,
      learningRate: 1e-2,
    });
    expect(said[0]).toMatch(/^full, 20 epochs: about \d+ of 900 seconds$/);
    expect(said[1]).toMatch(/in batches of 16, at most 20 epochs \(240 steps\)/);
    const report = reportOf(out);
    expect(report).toMatchObject({ base_model: "tiny", tuned_model: "tuned", held_out_rows: 60 });
    const [accuracy] = report.comparisons;
    expect(accuracy?.tuned).toBeGreaterThan((accuracy?.base ?? 1) + 0.1);
    const answers = await classify(await bench.open(), "tuned", heldOut);
    const right = answers.filter(([best], at) => best?.label === animalOf(heldOut[at] ?? ""));
    expect(right.length / heldOut.length).toBeCloseTo(accuracy?.tuned ?? NaN, 10);
    expect(readdirSync(out).toSorted()).toEqual([
      "README.md",
      "config.json",
      "metrics.csv",
      "model.safetensors",
      "report.html",
      "report.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(readFileSync(path.join(out, "metrics.csv"), "utf8")).toMatch(
      /^step,train_loss,.*\n1,0\./,
    );
  });

  it("comes out the same from the same seed, and otherwise from another", async () => {
    const files = await writeData((text) => ({ label: animalOf(text) }));
    const weightsOf = async (id: string, seed: number) => {
      const out = bench.local(id);
      await tune(bench, { model: "tiny", ...files, out, epochs: 1, seed });
      return readFileSync(path.join(out, "model.safetensors"));
    };
    const first = await weightsOf("first", 1);
    expect((await weightsOf("second", 1)).equals(first)).toBe(true);
    expect((await weightsOf("third", 2)).equals(first)).toBe(false);
  });
});

describe("strategies", () => {
  it("top-k changes the last layers and the head alone", async () => {
    const base = "bert-tags";
    await cp(path.join(made, base), bench.local(base), { recursive: true });
    const files = await writeData((text) => ({ label: animalOf(text) }));
    const out = bench.local("tuned");
    await tune(bench, { model: base, ...files, out, epochs: 1, strategy: "top-k", layers: 1 });
    const [before, after] = [bench.local(base), out].map((folder) =>
      openSafetensors(path.join(folder, "model.safetensors")),
    );
    const changed = (after?.names() ?? []).filter((name) => {
      const was = before?.entry(name) == null ? null : before.read(name).data;
      return was === null || after?.read(name).data.join() !== was.join();
    });
    before?.close();
    after?.close();
    expect(changed).toContain("bert.encoder.layer.1.output.dense.weight");
    expect(changed).toContain("classifier.weight");
    const others = changed.filter(
      (name) => !/^bert\.encoder\.layer\.1|^bert\.pooler|^classifier/.test(name),
    );
    expect(others).toEqual([]);
  });

  it.each([
    ["tiny", 3e-2, 20],
    ["st-distilbert-max", 1e-3, 1],
    ["st-roberta-weightedmean", 1e-3, 1],
  ] as const)(
    "lora trains an adapter of %s in PEFT's layout",
    async (base, learningRate, epochs) => {
      if (base !== "tiny") await cp(path.join(made, base), bench.local(base), { recursive: true });
      const files = await writeData((text) => ({ label: animalOf(text) }));
      const out = bench.local("tuned");
      const options = { strategy: "lora", learningRate, epochs } as const;
      await tune(bench, { model: base, ...files, out, ...options });
      expect(
        namesIn(out, "adapter_model.safetensors").every((name) =>
          name.startsWith("base_model.model."),
        ),
      ).toBe(true);
      const config = JSON.parse(readFileSync(path.join(out, "adapter_config.json"), "utf8"));
      expect(config).toMatchObject({
        peft_type: "LORA",
        r: 8,
        lora_alpha: 16,
        task_type: "SEQ_CLS",
      });
      const [accuracy] = reportOf(out).comparisons;
      if (base === "tiny") expect(accuracy?.tuned).toBeGreaterThan((accuracy?.base ?? 1) + 0.1);
      const answers = await classify(await bench.open(), "tuned", heldOut);
      const right = answers.filter(([best], at) => best?.label === animalOf(heldOut[at] ?? ""));
      expect(right.length / heldOut.length).toBeCloseTo(accuracy?.tuned ?? NaN, 10);
    },
  );

  it("head fits an adapter on the frozen base, served as it was judged", async () => {
    const files = await writeData((text) => ({ label: animalOf(text) }));
    const out = bench.local("tuned");
    await tune(bench, { model: "tiny", ...files, out, strategy: "head" });
    const [accuracy] = reportOf(out).comparisons;
    expect(accuracy?.tuned).toBeGreaterThan(accuracy?.base ?? 1);
    const answers = await classify(await bench.open(), "tuned", heldOut);
    const right = answers.filter(([best], at) => best?.label === animalOf(heldOut[at] ?? ""));
    expect(right.length / heldOut.length).toBeCloseTo(accuracy?.tuned ?? NaN, 10);
  });
});

it("learns any number of labels each, and serves them by sigmoids", async () => {
  const files = await writeData((text) => ({ label: partsOf(text) }));
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", ...files, out, epochs: 20, learningRate: 1e-2 });
  const [micro] = reportOf(out).comparisons;
  expect(micro).toMatchObject({ metric: "micro_f1" });
  expect(micro?.tuned).toBeGreaterThan((micro?.base ?? 1) + 0.1);
  const answers = await classify(await bench.open(), "tuned", heldOut);
  let [hits, said, meant] = [0, 0, 0];
  for (const [at, scores] of answers.entries()) {
    const expected = partsOf(heldOut[at] ?? "");
    const found = scores.filter(({ score }) => score >= 0.5).map(({ label }) => label);
    hits += found.filter((label) => expected.includes(label)).length;
    said += found.length;
    meant += expected.length;
  }
  expect((2 * hits) / (said + meant)).toBeCloseTo(micro?.tuned ?? NaN, 10);
});

it("learns a number, and serves it as it is", async () => {
  const files = await writeData((text) => ({ score: scoreOf(text) }));
  const out = bench.local("tuned");
  await tune(bench, { model: "tiny", ...files, out, epochs: 20 });
  const { comparisons } = reportOf(out);
  const error = comparisons.find(({ metric }) => metric === "mean_squared_error");
  expect(error?.tuned).toBeLessThan((error?.base ?? 0) / 2);
  const answers = await classify(await bench.open(), "tuned", heldOut);
  const squares = answers.map(
    ([value], at) => ((value?.score ?? NaN) - scoreOf(heldOut[at] ?? "")) ** 2,
  );
  const mean = squares.reduce((sum, square) => sum + square, 0) / squares.length;
  expect(mean).toBeCloseTo(error?.tuned ?? NaN, 4);
});

/** Each with a file that transformers saved of the class that is tuned. */
const families = [
  ["bert-masks", "bert-classifier"],
  ["deberta-v2-tags", "deberta-v2-classifier"],
  ["distilbert-masks", "distilbert-classifier"],
  ["electra-masks", "electra-classifier"],
  ["roberta-tags", "roberta-classifier"],
] as const;

function classOf(folder: string): unknown {
  return JSON.parse(readFileSync(path.join(folder, "config.json"), "utf8")).architectures;
}

describe.each(families)("%s", (base, classifier) => {
  it("becomes a classifier with the names of tensors that transformers gives it", async () => {
    await cp(path.join(made, base), bench.local(base), { recursive: true });
    const files = await writeData((text) => ({ label: animalOf(text) }));
    const out = bench.local("tuned");
    await tune(bench, { model: base, ...files, out, epochs: 1 });
    expect(namesIn(out)).toEqual(namesIn(path.join(made, classifier)));
    expect(classOf(out)).toEqual(classOf(path.join(made, classifier)));
    const [answer] = await classify(await bench.open(), "tuned", ["a fox"]);
    expect(answer?.map(({ label }) => label).toSorted()).toEqual(["fox", "none"]);
  });
});

const outFolder = () => bench.local("tuned");

async function refusal(lines: readonly object[], options = {}): Promise<string> {
  const data = await writeLines(path.join(bench.folder, "data.jsonl"), lines);
  const told = tune(bench, { model: "tiny", data, out: outFolder(), ...options });
  const message = told.then(
    () => "it was tuned",
    (error: Error) => error.message,
  );
  return await message;
}

describe("refusals", () => {
  const lines = texts.map((text) => ({ text, label: animalOf(text) }));

  it("names bad lines, and forms that are not trained", async () => {
    const bad = await refusal([...lines, { text: "a", label: 3 }]);
    expect(bad).toMatch(/cannot be trained with:\n.*241/);
    const completions = texts.map((text) => ({ prompt: text, completion: "a" }));
    expect(await refusal(completions)).toMatch(/tiny writes no text: completion trains decoders/);
    const same = await refusal(texts.map((text) => ({ text, label: "x" })));
    expect(same).toMatch(/every example is labelled x|two labels/);
    expect(existsSync(outFolder())).toBe(false);
  });

  it("lora asks for a base without a head, since none else takes its adapters", async () => {
    await cp(path.join(made, "bert-tags"), bench.local("bert-tags"), { recursive: true });
    const message = await refusal(lines, { strategy: "lora", model: "bert-tags" });
    expect(message).toMatch(/bert-tags has a head already: an adapter needs a bare base/);
  });

  it("names what is too little for it", async () => {
    const large = await refusal(lines, { batch: 1_000_000_000 });
    expect(large).toMatch(/takes about \d+ MB of memory and there are 2000 MB: lower --batch/);
    expect(await refusal(lines, { model: "nothing" })).toMatch(/nothing is no model known here/);
  });

  it("writes over nothing", async () => {
    await writeLines(path.join(outFolder(), "mine.jsonl"), []);
    expect(await refusal(lines)).toMatch(/tuned is not empty: choose another --out/);
    expect(readdirSync(outFolder())).toEqual(["mine.jsonl"]);
  });

  it("head asks for one label each", async () => {
    const sets = texts.map((text) => ({ text, label: partsOf(text) }));
    expect(await refusal(sets, { strategy: "head" })).toMatch(/fitted on one label each/);
  });
});

it("auto says what it chose in its first line", async () => {
  const files = await writeData((text) => ({ label: animalOf(text) }));
  const said = await tune(bench, {
    model: "tiny",
    ...files,
    out: bench.local("tuned"),
    strategy: "auto",
    epochs: null,
    learningRate: null,
  });
  expect(said[0]).toMatch(/^lora, 20 epochs: chosen by auto, about \d+ of 900 seconds$/);
});
