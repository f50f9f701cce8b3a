/** Answers to questions: tuned by the command, served from the folder it wrote. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { cpuBatchPolicy, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import { questionAnswering } from "../../gpu-worker/pipelines/question-answering.ts";
import { acquireEncoder } from "../catalog/acquire-encoder.ts";
import { type CatalogBench, never, openCatalogBench } from "../catalog/catalog-bench.ts";
import { writeTinyEncoder } from "../catalog/tiny-encoder.ts";
import type { TuneCommand } from "../../gpu-worker/cli/tune.ts";
import { copyFolder, madeTexts, namesIn, reportOf, tune, writeLines } from "./tune-bench.ts";

let bench: CatalogBench;

beforeEach(async () => {
  bench = await openCatalogBench();
  await writeTinyEncoder(bench.local("tiny"));
});

afterEach(() => bench.close());

type Line = {
  question: string;
  context: string;
  answers: { text: string; answer_start: number }[];
};

/** Fox or foxs, the only one of the text. The smiley makes code points and UTF-16 units differ. */
function lineOf(text: string): Line {
  const context = `😀 ${text}`;
  const found = /foxs?/.exec(context);
  const answers = found === null ? [] : [{ text: found[0], answer_start: found.index - 1 }];
  return { question: "a", context, answers };
}

const lines = madeTexts(900)
  .filter((text) => text.split("fox").length <= 2)
  .map(lineOf);
const answered = lines.filter(({ answers }) => answers.length > 0);
const bare = lines.filter(({ answers }) => answers.length === 0);

const usual = { strategy: "full", epochs: 15, learningRate: 2e-2 } as const;

async function learn(
  examples: readonly Line[],
  heldOut: readonly Line[],
  options: Pick<TuneCommand, "strategy"> & Partial<TuneCommand> = usual,
) {
  const file = (name: string) => path.join(bench.folder, name);
  const out = bench.local("tuned");
  const data = await writeLines(file("train.jsonl"), examples);
  const validation = await writeLines(file("held-out.jsonl"), heldOut);
  await tune(bench, { model: "tiny", data, validation, out, ...options });
  const [f1, exact] = reportOf(out).comparisons;
  expect([f1?.metric, exact?.metric]).toEqual(["answer_f1", "exact_match"]);
  return exact;
}

/** Of the served answers, how many are the very words. */
async function servedShare(heldOut: readonly Line[], mayBeNone: boolean): Promise<number> {
  const model = await acquireEncoder(await bench.open(), "tuned");
  const runner = new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
  const task = "question-answering" as const;
  const inputs = heldOut.map(({ question, context }) => ({ question, context }));
  const parameters = { handle_impossible_answer: mayBeNone };
  const request = { task, inputs, parameters };
  const { outputs } = await runner.run(questionAnswering, request, model, { signal: never });
  const said = outputs.flat().map(({ answer }) => answer);
  const right = said.filter((answer, at) => answer === (heldOut[at]?.answers[0]?.text ?? ""));
  return right.length / heldOut.length;
}

it("are learnt, and served as they were evaluated", async () => {
  const [trained, heldOut] = [answered.slice(0, 160), answered.slice(160, 220)];
  const exact = await learn(trained, heldOut);
  expect(exact?.tuned).toBeGreaterThan((exact?.base ?? 1) + 0.2);
  expect(await servedShare(heldOut, false)).toBeCloseTo(exact?.tuned ?? NaN, 10);
});

it("are learnt by an adapter, which its base's session serves beside others", async () => {
  const [trained, heldOut] = [answered.slice(0, 160), answered.slice(160, 220)];
  const lora = { strategy: "lora", epochs: 20, learningRate: 3e-2 } as const;
  const exact = await learn(trained, heldOut, lora);
  expect(exact?.tuned).toBeGreaterThan((exact?.base ?? 1) + 0.1);
  // Rows of an adapter are computed in groups, whose sums may turn one answer of two that are as likely.
  const apart = Math.abs((await servedShare(heldOut, false)) - (exact?.tuned ?? NaN));
  expect(Math.round(apart * heldOut.length)).toBeLessThanOrEqual(1);
  const out = bench.local("tuned");
  const config = JSON.parse(await readFile(path.join(out, "adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ task_type: "QUESTION_ANS", modules_to_save: ["qa_outputs"] });
  const own = path.join(out, "llm-os.json");
  const said = JSON.parse(await readFile(own, "utf8"));
  await writeFile(own, JSON.stringify({ ...said, labels: ["end", "start"] }));
  const odd = (await bench.open()).acquire("tuned", never);
  await expect(odd).rejects.toThrow("labels: question-answering has start and end");
});

const mixed = (from: number, to: number) => [...answered.slice(from, to), ...bare.slice(from, to)];

it("may be none, where some examples have none", async () => {
  const heldOut = mixed(100, 130);
  const exact = await learn(mixed(0, 100), heldOut);
  expect(exact?.base).toBe(0.5);
  expect(exact?.tuned).toBeGreaterThan(0.7);
  expect(await servedShare(heldOut, true)).toBeCloseTo(exact?.tuned ?? NaN, 10);
});

const made = path.resolve(import.meta.dirname, "../checkpoints/library-checkpoints");

it.each(["bert", "deberta-v2", "electra", "xlm-roberta"])(
  "%s gets the names of tensors that transformers gives it",
  async (family) => {
    await copyFolder(path.join(made, `${family}-tags`), bench.local("base"));
    const data = await writeLines(path.join(bench.folder, "train.jsonl"), lines.slice(0, 20));
    const out = bench.local("tuned");
    await tune(bench, { model: "base", data, out, epochs: 1 });
    expect(namesIn(out)).toEqual(namesIn(path.join(made, `${family}-answers`)));
    const model = await acquireEncoder(await bench.open(), "tuned");
    expect(model.tasks).toContain("question-answering");
  },
);

it("names the question that leaves no room for its passage", async () => {
  const long = { ...lines[0], question: "brown ".repeat(13) };
  const data = await writeLines(path.join(bench.folder, "train.jsonl"), [...lines, long]);
  const told = tune(bench, { model: "tiny", data, out: bench.local("tuned") });
  await expect(told).rejects.toThrow(/"brown brown .*leaves no room for the context/);
});
