/**
 * How a decoder is trained where nothing is said: by adapters, in batches that fit the memory, as often as ends in
 * time. Pure.
 */
import { layersOf, MemoryError, memoryInWords } from "./choose-plan.ts";
import type { Choice, Limits, Wishes } from "./choose-plan.ts";
import { decoderBytes, decoderSeconds } from "./decoder-cost.ts";
import type { DecoderFacts } from "./decoder-cost.ts";
import { type TrainingPlan, usualLora, usualSoftPrompt } from "./training-plan.ts";
import { TuningError } from "./tuning-error.ts";

export type DecoderWishes = Pick<
  Wishes,
  "strategy" | "epochs" | "learningRate" | "layers" | "lora" | "softPrompt" | "maxSeconds"
> & {
  /** Null: to be chosen. */
  readonly batch: number | null;
};

export type DecoderChoice = Choice & Pick<TrainingPlan, "lora" | "softPrompt" | "recomputes">;

/** Of the seconds there are: the estimate is rough. */
const safety = 0.8;
/** Texts of a step: a decoder's are long, and each of its tokens is an example. */
const usualBatch = 8;
/** More examples need fewer passes; early stopping ends those that need less. */
const examplesSeen = 2_000;
const epochsMax = 20;
/** Of a decoder 576 wide; wider ones bear less. */
const rates = { lora: 1e-3, "soft-prompt": 1e-2, "top-k": 1e-4, full: 1e-4 };
const rateHidden = 576;

/**
 * @throws MemoryError where nothing that was asked for fits
 * @throws TuningError for a strategy that trains no decoder, and for more layers than there are
 */
export function chooseDecoderPlan(
  facts: DecoderFacts,
  wishes: DecoderWishes,
  { gemmRate, memoryBytes }: Limits,
): DecoderChoice {
  const { strategy: asked, maxSeconds } = wishes;
  const layers = layersOf(wishes, facts.architecture.layers.length);
  const strategy = asked ?? "lora";
  if (strategy === "head")
    throw new TuningError(
      "a head classifies: a decoder is trained with lora, soft-prompt, top-k or full",
      { param: "strategy" },
    );
  const usualRate = (rates[strategy] * rateHidden) / facts.architecture.hidden;
  const learningRate = wishes.learningRate ?? usualRate;
  const lora = wishes.lora ?? usualLora;
  const softPrompt = wishes.softPrompt ?? usualSoftPrompt;
  const usual = Math.round(examplesSeen / facts.training.length);
  const wanted = wishes.epochs ?? Math.min(epochsMax, Math.max(1, usual));
  const passes = wishes.epochs === null ? halves(wanted) : [wanted];
  const candidates = formsOf(wishes.batch ?? usualBatch).flatMap((form) =>
    passes.map((epochs) => {
      const options = { strategy, layers, lora, softPrompt, epochs, ...form };
      const seconds = decoderSeconds(facts, options, gemmRate);
      return { ...options, learningRate, seconds, bytes: decoderBytes(facts, options) };
    }),
  );
  const fitting = candidates.filter(({ bytes }) => bytes <= memoryBytes);
  // What fits first, and of that as many epochs as end in time.
  const [first] = fitting;
  const alike = fitting.filter(
    ({ batch, recomputes }) => batch === first?.batch && recomputes === first.recomputes,
  );
  const chosen = alike.find(({ seconds }) => seconds <= maxSeconds * safety) ?? alike.at(-1);
  if (chosen !== undefined) return chosen;
  const least = Math.min(...candidates.map(({ bytes }) => bytes));
  throw new MemoryError(
    `${memoryInWords(least, memoryBytes)}: shorten the texts, or train less with --strategy lora`,
  );
}

/** From the fastest to the smallest: fewer texts of a step, then what layers compute not kept but computed again. */
function formsOf(batch: number): { batch: number; recomputes: boolean }[] {
  const sizes = halves(batch);
  return [false, true].flatMap((recomputes) => sizes.map((size) => ({ batch: size, recomputes })));
}

/** As many, then half of them, down to one. */
function halves(count: number): number[] {
  return count <= 1 ? [1] : [count, ...halves(Math.floor(count / 2))];
}
