/** How a decoder is trained where nothing is said: what fits the memory first, then what ends in time. */
import { describe, expect, it } from "vitest";
import { decoderOf } from "../../gpu-worker/architectures/decoder.ts";
import {
  chooseDecoderPlan,
  type DecoderWishes,
} from "../../gpu-worker/training/choose-decoder-plan.ts";
import { MemoryError } from "../../gpu-worker/training/choose-plan.ts";

/** SmolLM2-135M's sizes. */
const architecture = decoderOf({
  model_type: "llama",
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1_536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8_192,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});

const texts = (count: number, tokens: number) =>
  Array.from({ length: count }, () => ({ tokens, learnt: tokens / 2 }));

const facts = (count: number, tokens: number) => ({
  architecture,
  parameters: 134_515_008,
  training: texts(count, tokens),
  heldOut: texts(20, tokens),
});

const auto = {
  strategy: null,
  epochs: null,
  learningRate: null,
  layers: 2,
  batch: null,
  maxSeconds: 900,
};
const limits = { gemmRate: 150e9, memoryBytes: 16e9 };

const at = (memoryBytes: number) =>
  chooseDecoderPlan(facts(40, 500), auto, { ...limits, memoryBytes });

describe("by itself", () => {
  it("it trains adapters, small sets often and large ones once", () => {
    const small = chooseDecoderPlan(facts(80, 40), auto, limits);
    expect(small).toMatchObject({ strategy: "lora", epochs: 20, batch: 8, recomputes: false });
    expect(small.learningRate).toBe(1e-3);
    const quick = { ...limits, gemmRate: 1e13 };
    expect(chooseDecoderPlan(facts(4_000, 40), auto, quick).epochs).toBe(1);
  });

  it("it goes through them less often where the seconds are short", () => {
    const { epochs, seconds } = chooseDecoderPlan(
      facts(80, 40),
      { ...auto, maxSeconds: 60 },
      limits,
    );
    expect(epochs).toBeLessThan(20);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  it("it takes fewer texts at a step where memory is short, and then computes anew", () => {
    expect(at(32e9)).toMatchObject({ batch: 8, recomputes: false });
    const smaller = at(6e9);
    expect(smaller.recomputes).toBe(false);
    expect(smaller.batch).toBeLessThan(8);
    expect(at(2e9)).toMatchObject({ recomputes: true });
    expect(() => at(5e8)).toThrow(MemoryError);
  });
});

it("a wish counts", () => {
  const wishes = { ...auto, strategy: "full", epochs: 3, learningRate: 0.5, batch: 4 } as const;
  const { strategy, epochs, learningRate, batch } = chooseDecoderPlan(
    facts(40, 40),
    wishes,
    limits,
  );
  expect({ strategy, epochs, learningRate, batch }).toEqual({
    strategy: "full",
    epochs: 3,
    learningRate: 0.5,
    batch: 4,
  });
  const head = () => chooseDecoderPlan(facts(40, 40), { ...auto, strategy: "head" }, limits);
  expect(head).toThrow("lora, soft-prompt, top-k or full");
});

const choiceOf = (wishes: Pick<DecoderWishes, "strategy"> & Partial<DecoderWishes>) =>
  chooseDecoderPlan(facts(40, 40), { ...auto, epochs: 1, ...wishes }, limits);

it("a soft prompt trains the fewest numbers, of 20 tokens unless others are asked for", () => {
  const soft = choiceOf({ strategy: "soft-prompt" });
  expect(soft.softPrompt).toEqual({ virtualTokens: 20, initialText: null });
  expect(soft.seconds).toBeLessThan(choiceOf({ strategy: "lora" }).seconds);
  expect(soft.learningRate).toBeCloseTo(1e-2, 10);
  const softPrompt = { virtualTokens: 50, initialText: "w" };
  expect(choiceOf({ strategy: "soft-prompt", softPrompt }).softPrompt).toEqual(softPrompt);
});
