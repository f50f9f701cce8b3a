/** Every task through huggingface_hub's client, where Python and that package are here: see bench/peers/install-python.sh. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningStack, startStack } from "../../infra/local/start-stack.ts";
import { writeMinilmWithHead } from "../models/minilm-with-head.ts";
import { peerPython } from "../peer-python.ts";

const usable = peerPython({
  modules: ["huggingface_hub", "numpy"],
  what: "the Python client",
  script: "install-python.sh",
  folder: "python",
});

type Labels = { label: string; score: number }[];
type Answers = {
  text_classification: Labels;
  token_classification: { word: string; start: number; end: number; entity_group: string }[];
  question_answering: { answer: string; start: number; end: number };
  question_answering_several: { answer: string }[];
  zero_shot_similarity: Labels;
  zero_shot_entailment: Labels;
  feature_extraction: number[];
  sentence_similarity: number[];
  fill_mask: { sequence: string; score: number }[];
};

describe.skipIf(usable === null)("huggingface_hub", () => {
  const models = mkdtempSync(path.join(tmpdir(), "llm-os-python-"));
  let stack: RunningStack;

  beforeAll(async () => {
    for (const name of [
      "minilm-entities",
      "minilm-answers",
      "minilm-entailment",
      "minilm-mask",
    ] as const) {
      await writeMinilmWithHead(models, name);
    }
    stack = await startStack({ env: { LLM_OS_MODELS: models } });
  });

  afterAll(async () => {
    await stack.stop();
    rmSync(models, { recursive: true, force: true });
  });

  it("gets what it expects of every task", async () => {
    const script = path.join(import.meta.dirname, "clients/python/hugging_face_client.py");
    const run = promisify(execFile);
    const { stdout } = await run(usable ?? "", [script, stack.url, stack.operatorKey]);
    const answers = JSON.parse(stdout) as Answers;
    expect(answers.text_classification.map(({ label }) => label)).toEqual(["positive"]);
    const text = "😀 Émilie Dùpont 在北京 met שרה in Köln";
    expect(answers.token_classification.length).toBeGreaterThan(0);
    for (const { word, start, end } of answers.token_classification) {
      expect([...text].slice(start, end).join("")).toBe(word);
    }
    const context = "The bridge was finished in 1932. ".repeat(80);
    const { answer, start, end } = answers.question_answering;
    expect(context.slice(start, end)).toBe(answer);
    expect(answers.question_answering_several).toHaveLength(3);
    expect(answers.zero_shot_similarity[0]?.label).toBe("football");
    expect(answers.zero_shot_entailment).toHaveLength(3);
    expect(answers.feature_extraction).toEqual([2, 384]);
    expect(answers.sentence_similarity).toHaveLength(2);
    expect(answers.fill_mask).toHaveLength(2);
  });
});
