/** Fillings whose logits are written down by hand; real tokenizers are in oracle.test.ts. */
import { describe, expect, it } from "vitest";
import type { TaskParameters } from "../../contract/tasks.ts";
import type { Filling } from "../../contract/tasks/fill-mask.ts";
import { fillMask } from "../../gpu-worker/pipelines/fill-mask.ts";
import { type ToyModel, toyContext, toyModel, toyTokenizer } from "./toy-tagger.ts";

type Parameters = TaskParameters<"fill-mask">;

const words = ["cat", "dog", "##ty", "owl"];
const vocabulary = 20;

/** The logits of `words` at a position: the same everywhere, plus the position for "cat". */
function filler(logits: readonly number[], maxTokens = 16): ToyModel {
  const tokenizer = { ...toyTokenizer(), vocabularySize: vocabulary };
  const ids = words.map(tokenizer.idOf);
  return toyModel({
    tokenizer,
    maxTokens,
    head: { name: "masked-lm" },
    outputs: ({ positions = [] }) => ({
      logits: positions.map((position) =>
        Array.from({ length: vocabulary }, (_, id) => {
          const at = ids.indexOf(id);
          return at === -1 ? -5 : (logits[at] ?? 0) + (at === 0 ? position : 0);
        }),
      ),
    }),
  });
}

async function fill(model: ToyModel, text: string, parameters: Parameters = {}) {
  const request = { task: "fill-mask" as const, inputs: [text], parameters };
  const answer = await fillMask.answer(request, model, toyContext());
  return { ...answer, output: answer.outputs[0] ?? [] };
}

const brief = (list: Filling | Filling[] | undefined) =>
  [list ?? []].flat().map(({ sequence, token_str: word }) => [word, sequence]);

describe("fill-mask", () => {
  it("gives the best tokens with softmax over the whole vocabulary, and the text filled", async () => {
    const { output, usage } = await fill(filler([1, 3, 2, 0]), "a [MASK] sleeps");
    // The mask stands at position 2; sixteen other tokens have −5.
    const logits = [3, 3, 2, 0];
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 16 * Math.exp(-5));
    expect(output.slice(0, 3)).toEqual(
      [
        ["cat", "a cat sleeps", 3],
        ["dog", "a dog sleeps", 3],
        ["##ty", "aty sleeps", 2],
      ].map(([word, sequence, logit]) => ({
        sequence,
        token: expect.any(Number),
        token_str: word,
        score: expect.closeTo(Math.exp(Number(logit)) / total, 6),
      })),
    );
    expect(output).toHaveLength(5);
    expect(usage).toEqual({ promptTokens: 6 });
  });

  it("gives a list for each of several masks, the others left as they are", async () => {
    const model = filler([0, 9, 0, 0]);
    const { output } = await fill(model, "[MASK] and [MASK]! [MASK]", { top_k: 1 });
    expect(output.map((list) => brief(list))).toEqual([
      [["dog", "[CLS] dog and [MASK] ! [MASK] [SEP]"]],
      [["dog", "[CLS] [MASK] and dog ! [MASK] [SEP]"]],
      [["dog", "[CLS] [MASK] and [MASK] ! dog [SEP]"]],
    ]);
    expect(model.rows[0]?.positions).toEqual([1, 3, 5]);
  });

  it("considers only targets where they are given, each once", async () => {
    const { output, warnings } = await fill(filler([0, 1, 2, 9]), "a [MASK]", {
      targets: ["dog", "cat", "dog"],
    });
    expect(brief(output.flat()).map(([word]) => word)).toEqual(["cat", "dog"]);
    // The scores are still those among all words.
    const total = Math.exp(2) + Math.exp(1) + Math.exp(2) + Math.exp(9) + 16 * Math.exp(-5);
    expect(output.flat()[0]?.score).toBeCloseTo(Math.exp(2) / total, 6);
    expect(warnings).toEqual([]);
  });

  it("takes the first token of a target that is none, and says so", async () => {
    const { output, warnings } = await fill(filler([0, 0, 0, 0]), "a [MASK]", {
      targets: ["catty", "  "],
    });
    expect(brief(output.flat())).toEqual([["cat", "a cat"]]);
    expect(warnings).toEqual([
      'targets: words that are no single token stand for their first: "catty" → "cat"',
      'targets: words without a token were left out: "  "',
    ]);
    await expect(fill(filler([]), "a [MASK]", { targets: [" "] })).rejects.toMatchObject({
      code: "invalid_value",
      param: "targets",
    });
  });

  // At the first mask "dog" wins; the later the position, the likelier "cat" is.
  it("reads a text again where it has very many masks, with the same answer", async () => {
    const model = filler([0, 9, 0, 0], 2_000);
    // As large a vocabulary as some models have: eight masks of a row then make all the scores a row may.
    const large = { ...model, limits: { ...model.limits, vocabularySize: 250_000 } };
    const { output } = await fill({ ...large, rows: model.rows }, "[MASK] ".repeat(20), {
      top_k: 1,
    });
    expect(output).toHaveLength(20);
    expect(model.rows.map(({ positions = [] }) => positions.length)).toEqual([8, 8, 4]);
    expect(brief(output.at(-1))[0]?.[1]).toMatch(/^\[CLS\] (\[MASK\] ){19}cat \[SEP\]$/);
  });

  it.each([
    ["nothing is masked", "no mask here", "inputs[0]", /\[MASK\]/],
    ["a text that is too long", "[MASK] ".repeat(20), "inputs[0]", /22 tokens.*16/],
  ])("refuses %s", async (_, text, param, message) => {
    await expect(fill(filler([]), text)).rejects.toMatchObject({
      param,
      message: expect.stringMatching(message),
    });
  });

  it("refuses more masks than a request may hold", async () => {
    const asked = fill(filler([], 5_000), "[MASK] ".repeat(2_049));
    await expect(asked).rejects.toMatchObject({ param: "inputs", code: "invalid_value" });
  });

  it("refuses a model that fills nothing", async () => {
    const model = filler([]);
    const unmasked = { ...model, tokenizer: { ...model.tokenizer, mask: null } };
    for (const other of [{ ...model, head: { name: "none" } as const }, unmasked]) {
      await expect(fill(other, "a [MASK]")).rejects.toMatchObject({
        code: "invalid_value",
        param: "model",
      });
    }
  });
});
