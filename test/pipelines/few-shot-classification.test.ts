/** Classes taught by examples, on an encoder whose vectors can be worked out by hand. */
import { describe, expect, it } from "vitest";
import { type TaskParameters, tasks } from "../../contract/tasks.ts";
import { TaskRunner, cpuBatchPolicy } from "../../gpu-worker/jobs/task-runner.ts";
import { fewShotClassification } from "../../gpu-worker/pipelines/few-shot-classification.ts";
import { toyEncoder } from "./toy-encoder.ts";

type Parameters = TaskParameters<"few-shot-classification">;

const makeRunner = () => new TaskRunner({ policy: cpuBatchPolicy, now: () => 0 });
const never = new AbortController().signal;

/** Vectors of the toy are [sum, tokens]: few large numbers point elsewhere than many small ones. */
const examples: Parameters["examples"] = [
  { text: "900", label: "large" },
  { text: "3 3 3 3 3", label: "small" },
  { text: "700 800", label: "large" },
  { text: "3 4", label: "small" },
];
/** Tokens of the examples, two special ones each. */
const exampleTokens = 3 + 7 + 4 + 4;

function ask(
  inputs: string[],
  parameters: Parameters = { examples },
  { runner = makeRunner(), model = toyEncoder(), signal = never } = {},
) {
  const request = { task: "few-shot-classification", inputs, parameters } as const;
  return runner.run(fewShotClassification, request, model, { signal });
}

const rowsRun = ({ runs }: { runs: [number, number][] }) =>
  runs.reduce((sum, [rows]) => sum + rows, 0);

describe("few-shot-classification", () => {
  it("gives each input the label of the examples it is like, scores in order and 1 in all", async () => {
    const { outputs, usage, warnings } = await ask(["850 950", "4 3 3"]);
    expect(outputs.map(([first]) => first?.label)).toEqual(["large", "small"]);
    for (const labels of outputs) {
      const [first, second] = labels.map(({ score }) => score);
      expect(first).toBeGreaterThan(0.5);
      expect((first ?? 0) + (second ?? 0)).toBeCloseTo(1, 6);
    }
    expect(usage).toEqual({ promptTokens: exampleTokens + 4 + 5 });
    expect(warnings).toEqual([]);
  });

  it("judges by the direction of a vector, not its length", async () => {
    // [14, 4] and [28, 8].
    const [one, two] = (await ask(["5 6", "4 4 4 4 4 5"])).outputs;
    expect(two?.map(({ label }) => label)).toEqual(one?.map(({ label }) => label));
    for (const [at, each] of (one ?? []).entries()) {
      expect(two?.[at]?.score).toBeCloseTo(each.score, 6);
    }
  });

  it("reads and counts the examples once, in whatever order they come", async () => {
    const shared = { runner: makeRunner(), model: toyEncoder() };
    const first = await ask(["850 950"], { examples }, shared);
    expect(rowsRun(shared.model)).toBe(5);
    const second = await ask(["850 950"], { examples: examples.toReversed() }, shared);
    expect(rowsRun(shared.model)).toBe(6);
    expect(second.outputs).toEqual(first.outputs);
    expect(second.usage).toEqual({ promptTokens: 4 });
  });

  it("reads them again for another model, and where a label has changed", async () => {
    const shared = { runner: makeRunner(), model: toyEncoder() };
    await ask(["850 950"], { examples }, shared);
    const other = { ...toyEncoder(), digest: "other" };
    await ask(["850 950"], { examples }, { ...shared, model: other });
    expect(rowsRun(other)).toBe(5);
    const changed = examples.map((each, at) => (at === 0 ? { ...each, label: "huge" } : each));
    const { outputs } = await ask(["850 950"], { examples: changed }, shared);
    expect(outputs[0]).toHaveLength(3);
    expect(rowsRun(shared.model)).toBe(10);
  });

  it("keeps the best k labels", async () => {
    const { outputs } = await ask(["850 950"], { examples, k: 1 });
    expect(outputs).toEqual([[expect.objectContaining({ label: "large" })]]);
  });

  it("fits once for callers who come together", async () => {
    const shared = { runner: makeRunner(), model: toyEncoder() };
    const answers = await Promise.all([
      ask(["850"], { examples }, shared),
      ask(["950"], { examples }, shared),
    ]);
    expect(answers.map(({ outputs }) => outputs[0]?.[0]?.label)).toEqual(["large", "large"]);
    expect(rowsRun(shared.model)).toBe(6);
  });

  it("answers a caller though the one who began the fit has left", async () => {
    const shared = { runner: makeRunner(), model: toyEncoder() };
    const leaving = new AbortController();
    const running = Promise.withResolvers<void>();
    shared.model.gate = (signal) => {
      running.resolve();
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("gone"))),
      );
    };
    const left = ask(["850"], { examples }, { ...shared, signal: leaving.signal });
    await running.promise;
    const stays = ask(["950"], { examples }, shared);
    shared.model.gate = () => Promise.resolve();
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect((await stays).outputs[0]?.[0]?.label).toBe("large");
  });

  it("names an input or an example that is too long, and cuts both on demand", async () => {
    const long = Array.from({ length: 20 }, () => "3").join(" ");
    const param = "parameters.examples[1].text";
    const withLong = examples.map((each, at) => (at === 1 ? { ...each, text: long } : each));
    await expect(ask([long])).rejects.toMatchObject({ param: "inputs[0]" });
    await expect(ask(["3"], { examples: withLong })).rejects.toMatchObject({
      code: "context_length_exceeded",
      param,
    });
    const cut = await ask([long], { examples: withLong, truncate: true });
    expect(cut.usage.truncatedInputs).toBe(2);
    expect(cut.warnings).toHaveLength(1);
  });

  it("is refused by a model that makes no sentence vectors", async () => {
    const model = { ...toyEncoder(), sentence: null };
    await expect(ask(["3"], { examples }, { model, runner: makeRunner() })).rejects.toMatchObject({
      code: "invalid_value",
      param: "model",
    });
  });
});

function labelled(count: number, text = "a"): Parameters["examples"] {
  return Array.from({ length: count }, (_, at) => ({ text, label: `label ${at}` }));
}

describe("the examples of a request", () => {
  const { parameters } = tasks["few-shot-classification"];
  it.each<[string, Parameters["examples"], RegExp]>([
    ["of one label", [examples[0], examples[2]].flatMap((each) => each ?? []), /two labels/],
    ["of too many labels", labelled(101), /101 labels, at most 100/],
    ["that are too much", labelled(70, "x".repeat(1_000)), /characters in all, at most 65536/],
  ])("%s are refused", (_, refused, message) => {
    expect(parameters.safeParse({ examples: refused }).error?.message).toMatch(message);
  });

  it("are accepted up to the bounds", () => {
    expect(parameters.safeParse({ examples: labelled(100, "x".repeat(600)) }).success).toBe(true);
  });
});
