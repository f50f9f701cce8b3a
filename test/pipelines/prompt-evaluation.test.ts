/**
 * A prompt judged by answers that a script writes: figures against counts made by hand, an optimisation that finds the
 * wording that the script understands, and one that finds nothing better.
 */
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { PromptExample } from "../../contract/prompts/prompt.ts";
import type { TaskInput, TaskParameters } from "../../contract/tasks.ts";
import { countCalls, estimatedCalls } from "../../contract/prompts/estimated-calls.ts";
import { checkPrompt } from "../../contract/prompts/prompt.ts";
import { wilsonInterval } from "../../gpu-worker/evaluation/wilson.ts";
import { cpuBatchPolicy, type RunOptions, TaskRunner } from "../../gpu-worker/jobs/task-runner.ts";
import type { DecoderModel } from "../../gpu-worker/model/decoder-model.ts";
import type { GenerationContext } from "../../gpu-worker/pipelines/pipeline.ts";
import { promptEvaluation } from "../../gpu-worker/pipelines/prompt-evaluation.ts";
import { loadTokenizer } from "../../gpu-worker/tokenizer/tokenizer.ts";
import { madeUpDecoder } from "../jobs/random-model.ts";
import { estimateUnits } from "../../edge/tasks/estimate-units.ts";
import { randomFrom } from "../random-from.ts";
import { scriptedEngine } from "./scripted-engine.ts";

const embedded = "../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2";
const tokenizer = await loadTokenizer(path.resolve(import.meta.dirname, embedded));
const model: DecoderModel = madeUpDecoder(tokenizer);
const [end = 0] = model.endTokens;

type Input = TaskInput<"prompt-evaluation">;

const prompt: Input["prompt"] = {
  messages: [
    { role: "system", content: "Judge." },
    { role: "user", content: "{{text}}" },
  ],
  variables: { type: "object", properties: { text: { type: "string" } } },
  examples: [],
};

/** What is asked last, as the made-up template words it: the whole prompt, and the text that is judged. */
type Asked = { whole: string; text: string };
type Answerer = (asked: Asked) => string;

/** The model's answers as tokens, each told of the prompt as it was written. */
async function engineOf(answerer: Answerer, answers: readonly string[]) {
  const known = new Map<string, number[]>();
  for (const each of answers) {
    const [encoded] = await tokenizer.encode([each]);
    known.set(each, [...(encoded?.ids ?? []), end]);
  }
  return scriptedEngine(({ prompt: ids }, _, position) => {
    const whole = tokenizer.decode([...ids]);
    const text = whole.split("user :").at(-1)?.split("assistant :")[0]?.trim() ?? "";
    return known.get(answerer({ whole, text }))?.[position] ?? end;
  });
}

const runners: TaskRunner[] = [];
afterAll(() => Promise.all(runners.map((runner) => runner.close())));

type Given = Partial<Input> & { examples: PromptExample[] };
const greedy = { temperature: 0, max_tokens: 8, constrain: false, optimise: false, split_seed: 0 };

async function evaluate(
  { examples, labels = null, ...given }: Given,
  answerer: Answerer,
  parameters: Partial<TaskParameters<"prompt-evaluation">> = {},
  options: Partial<RunOptions> = {},
) {
  const input: Input = { prompt, examples, labels, variants: [], ...given };
  const answers = [
    ...new Set([...(labels ?? []), ...examples.map(({ output }) => output), "what"]),
  ];
  const engine = await engineOf(answerer, answers);
  const runner = new TaskRunner({
    policy: cpuBatchPolicy,
    now: () => 0,
    openEngine: () => engine,
  });
  runners.push(runner);
  const { signal } = new AbortController();
  const { outputs, usage } = await runner.run(
    promptEvaluation,
    { task: "prompt-evaluation", inputs: [input], parameters: { ...greedy, ...parameters } },
    model,
    { signal, ...options },
  );
  const [report] = outputs;
  if (report === undefined) throw new Error("there is no report");
  return { report, usage, engine, input };
}

const mood = (text: string, output: string): PromptExample => ({ variables: { text }, output });
const labels = ["good", "bad"];
const reviews = [
  mood("joy one", "good"),
  mood("joy two", "good"),
  mood("joy three", "good"),
  mood("bore four", "bad"),
];

/** Right of two, wrong of one, and no label of another. */
const halfRight: Answerer = ({ text }) => {
  if (text === "joy two") return "bad";
  if (text === "joy three") return "what";
  return text.startsWith("joy") ? "good" : "bad";
};

/** Right where the labels were told. */
const wantsLabels: Answerer = ({ whole, text }) =>
  whole.includes("answer with one of") && text.startsWith("bore") ? "bad" : "good";

/** Right where it is asked in a caller's words, and shown eight examples. */
const wantsPepper: Answerer = ({ whole, text }) => {
  const shown = whole.split("assistant :").length - 1;
  return whole.includes("pepper") && shown === 8 && text.includes("joy") ? "good" : "bad";
};

describe("an evaluation", () => {
  it("counts labels as scikit-learn's report does, and tells of the misses", async () => {
    const told: number[][] = [];
    const { report, usage } = await evaluate(
      { examples: reviews, labels },
      halfRight,
      {},
      {
        onProgress: (...at) => told.push(at),
      },
    );
    const { figures } = report;
    expect(figures).toMatchObject({ examples: 4, right: 2, exact_match: 0.5, word_f1: null });
    // classification_report(["good"]*3+["bad"], ["good","bad","what","bad"], labels=["good","bad"])
    expect(figures.classes).toEqual([
      { label: "good", precision: 1, recall: 1 / 3, f1: 0.5, support: 3 },
      { label: "bad", precision: 0.5, recall: 1, f1: 2 / 3, support: 1 },
    ]);
    expect(figures.macro_f1).toBeCloseTo(7 / 12, 12);
    expect(figures.misses.map(({ index, answer, expected }) => [index, answer, expected])).toEqual([
      [1, "bad", "good"],
      [2, "what", "good"],
    ]);
    expect(figures.misses[0]?.score).toBeGreaterThan(0);
    expect(report.cost).toEqual({
      calls: 4,
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      units: usage.promptTokens + (usage.completionTokens ?? 0),
    });
    expect(told.at(-1)).toEqual([4, 4]);
  });

  it("compares texts as SQuAD does, and keeps those that share least", async () => {
    const examples = [mood("a", "the red house"), mood("b", "a tram line"), mood("c", "yes")];
    const said: Record<string, string> = { a: "the red house", b: "yes", c: "the red house" };
    const { report } = await evaluate({ examples }, ({ text }) => said[text] ?? "what");
    const { figures } = report;
    expect(figures).toMatchObject({ right: 1, classes: null, macro_f1: null });
    expect(figures.exact_match).toBeCloseTo(1 / 3, 12);
    expect(figures.word_f1).toBeCloseTo(1 / 3, 12);
    expect(figures.misses.map(({ score }) => score)).toEqual([0, 0]);
  });

  it("holds answers to the labels, where it is to", async () => {
    const asked: unknown[] = [];
    const engine = await engineOf(({ text }) => (text.startsWith("joy") ? "good" : "bad"), labels);
    const context: GenerationContext = {
      signal: new AbortController().signal,
      jobId: "job",
      charge: () => undefined,
      reserveResult: async () => undefined,
      renderChat: async (_, { messages: said }) =>
        said.map(({ role, content }) => `${role}: ${content}\n`).join(""),
      generate: (_, request, handlers) =>
        engine.generate(request, { ...handlers, signal: context.signal, onRun: () => undefined }),
      constrain: async (_, structure, param) => {
        asked.push([structure, param]);
        return () => {
          throw new Error("the script makes no use of it");
        };
      },
    };
    const input: Input = { prompt, examples: reviews, labels, variants: [] };
    const request = {
      task: "prompt-evaluation" as const,
      inputs: [input],
      parameters: { ...greedy, constrain: true },
    };
    const { outputs } = await promptEvaluation.answer(request, model, context);
    expect(asked).toEqual([[{ type: "choice", choices: labels }, "structure"]]);
    expect(engine.requests.every(({ constraint }) => constraint !== undefined)).toBe(true);
    expect(outputs[0]).toMatchObject({ constrained: true, figures: { right: 4 } });
  });

  it("ends with the signal", async () => {
    const abort = new AbortController();
    const answerer: Answerer = () => {
      abort.abort(new Error("enough"));
      return "good";
    };
    const { signal } = abort;
    await expect(evaluate({ examples: reviews, labels }, answerer, {}, { signal })).rejects.toThrow(
      "enough",
    );
  });
});

describe("an optimisation", () => {
  const many = Array.from({ length: 100 }, (_, at) =>
    mood(`${at % 2 === 0 ? "joy" : "bore"} ${at}`, at % 2 === 0 ? "good" : "bad"),
  );
  const optimise = { optimise: true, split_seed: 3 };

  it("finds the wording that is understood, and judges it on examples that nothing saw", async () => {
    const { report, engine, input, usage } = await evaluate(
      { examples: many, labels },
      wantsLabels,
      optimise,
    );
    const found = report.optimisation;
    expect(found).toMatchObject({ shots_from: 20, judged_on: 40, held_out: 40, better: true });
    expect(found?.candidates[0]).toMatchObject({ wording: "as written", shots: 0 });
    expect(found?.winner).toMatchObject({
      wording: "labels told",
      shots: 0,
      accuracy: { value: 1 },
    });
    expect(found?.baseline.value).toBeLessThan(0.8);
    expect(found?.difference.low).toBeGreaterThan(0);
    expect(report.figures).toMatchObject({ examples: 40, right: 40 });
    const winner = found?.prompt ?? null;
    if (winner === null) throw new Error("there is no winner");
    checkPrompt(winner);
    expect(winner.messages[0]?.content).toBe("Judge. Answer with one of: good, bad.");
    // What is reserved covers what is done, and the examples that are held out are asked of two prompts alone.
    const estimated = estimatedCalls(input, optimise);
    expect(countCalls(input, optimise)).toBe(estimated.length);
    expect(engine.requests.length).toBe(report.cost.calls);
    expect(report.cost.calls).toBeLessThanOrEqual(estimated.length);
    expect(usage.promptTokens).toBe(report.cost.prompt_tokens);
    const again = await evaluate({ examples: many, labels }, wantsLabels, optimise);
    expect(again.report).toEqual(report);
  });

  it("leaves the prompt as it is where nothing is better", async () => {
    const { report } = await evaluate({ examples: many, labels }, () => "good", optimise);
    expect(report.optimisation).toMatchObject({
      better: false,
      prompt: null,
      winner: { wording: "as written", shots: 0 },
      difference: { value: 0 },
    });
    expect(report.figures.examples).toBe(40);
  });

  it("tries a caller's own wording, and shots of every label", async () => {
    const variants = [
      { name: "mine", messages: [{ role: "user" as const, content: "Pepper {{text}}" }] },
    ];
    const { report } = await evaluate({ examples: many, labels, variants }, wantsPepper, optimise);
    const { winner, prompt: best } = report.optimisation ?? {};
    expect(winner).toMatchObject({ wording: "mine", shots: 8 });
    const outputs = best?.examples.map(({ output }) => output) ?? [];
    expect(outputs.filter((output) => output === "good")).toHaveLength(4);
  });

  it("asks no more than was reserved for it, and not much less, whatever is chosen on the way", async () => {
    const random = randomFrom(11);
    for (let count = 0; count < 3; count += 1) {
      const given = randomOptimisation(random);
      const answerer: Answerer = () => (random(2) === 0 ? "good" : "bad");
      const parameters = { optimise: true, split_seed: count, constrain: random(2) === 0 };
      const { report, usage, input } = await evaluate(given, answerer, parameters);
      const shown = JSON.stringify({ count, calls: report.cost.calls });
      const calls = countCalls(input, parameters);
      expect.soft(calls, shown).toBeGreaterThanOrEqual(report.cost.calls);
      expect.soft(calls, shown).toBeLessThanOrEqual(1.5 * report.cost.calls);
      const asked = { ...greedy, ...parameters };
      const call = { task: "prompt-evaluation" as const, inputs: [input], parameters: asked };
      const reserved = estimateUnits(call, {
        limits: { maxTokens: 8_192, vocabularySize: 30_522, dimensions: null },
      });
      const charged = usage.promptTokens + (usage.completionTokens ?? 0);
      expect.soft(reserved, shown).toBeGreaterThanOrEqual(charged);
      expect.soft(reserved, shown).toBeLessThanOrEqual(3.5 * charged);
    }
  });
});

function wilson(right: number, rows: number): string[] {
  const { low, high } = wilsonInterval(right, rows);
  return [low.toFixed(4), high.toFixed(4)];
}

it("has Wilson's interval as Newcombe tells it (1998, table I, method 3)", () => {
  expect(wilson(81, 263)).toEqual(["0.2553", "0.3662"]);
  expect(wilson(15, 148)).toEqual(["0.0624", "0.1605"]);
  expect(wilson(0, 20)).toEqual(["0.0000", "0.1611"]);
  expect(wilson(1, 29)).toEqual(["0.0061", "0.1718"]);
});

/** Reviews of some ten words, of a prompt with or without an instruction, labels and a caller's wording. */
function randomOptimisation(random: (below: number) => number): Given {
  const words =
    "the film was a long slow joy to watch and nobody in our row left before it ended".split(" ");
  const text = () =>
    Array.from({ length: 6 + random(10) }, () => words[random(words.length)]).join(" ");
  const examples = Array.from({ length: 50 + random(30) }, (_, at) =>
    mood(text(), at % 2 === 0 ? "good" : "bad"),
  );
  const variant = {
    name: "mine",
    messages: [{ role: "user" as const, content: "Rate: {{text}}" }],
  };
  const [system, user] = prompt.messages;
  return {
    examples,
    labels: random(2) === 0 ? labels : null,
    variants: random(2) === 0 ? [variant] : [],
    prompt: {
      ...prompt,
      messages: [system, user].flatMap((each, at) =>
        each === undefined || (at === 0 && random(2) === 0) ? [] : [each],
      ),
    },
  };
}
