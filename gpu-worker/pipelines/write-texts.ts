/** Other wordings of examples, written by a model: all of a round side by side, and the ways back after the others. */
import type { PlannedCandidate, WritingMethod } from "#contract/augmentation/augmentation-plan.ts";
import { answersOf } from "#contract/augmentation/augmentation-plan.ts";
import { type Rewrite, rewriteMessages, styles } from "#contract/augmentation/rewrite-prompts.ts";
import { CodedError } from "#contract/errors.ts";
import type { Usage } from "#contract/result-document.ts";
import type { AugmentationParameters, LabelledExample } from "#contract/tasks/augmentation.ts";
import { openSlot, type Slot, writtenText } from "../augmentation/written-text.ts";
import { randomFrom } from "#contract/random.ts";
import { toolTemplateOf } from "../tool-calls/tool-conversation.ts";
import { templateOf } from "./chat-completion.ts";
import { generate } from "./generate.ts";
import type { GenerationContext, Writer } from "./pipeline.ts";
import { type Prompt, readPrompts } from "./read-prompts.ts";

type Options = {
  readonly parameters: AugmentationParameters;
  readonly writer: Writer;
  progress(done: number, total: number): void;
};

type Asked = { readonly name: string; readonly rewrite: Rewrite; readonly slot: Slot | null };

/** Of one candidate: null where there is nothing to ask. */
type Step = Asked | null;

/** Only tokens that together have this probability are drawn from: the tail of a small model is noise. */
const topP = 0.95;

/** @returns a text for each, null where the model wrote nothing of use @throws CodedError; the signal's reason */
export async function writeTexts(
  asked: readonly PlannedCandidate<WritingMethod>[],
  examples: readonly LabelledExample[],
  options: Options,
): Promise<{ texts: (string | null)[]; answers: number; usage: Usage }> {
  const { parameters } = options;
  const writing = new Writing(options, answersOf(asked));
  const random = randomFrom(parameters.seed);
  const steps = asked.map((planned): Step => firstStep(planned, { examples, parameters, random }));
  const first = await writing.answers(steps);
  const back = first.map((answer, at): Step => {
    const step = steps[at] ?? null;
    const text = answer === null ? null : writtenText(answer);
    if (step?.rewrite.kind !== "there" || text === null) return null;
    return { ...step, rewrite: { ...step.rewrite, kind: "back", text } };
  });
  const last = await writing.answers(back);
  const texts = steps.map((step, at) => {
    const answer = (step?.rewrite.kind === "there" ? last : first)[at] ?? null;
    if (step === null || answer === null) return null;
    return step.slot === null ? writtenText(answer) : step.slot.fill(answer);
  });
  return { texts, answers: writing.made, usage: writing.usage };
}

type Given = {
  examples: readonly LabelledExample[];
  parameters: AugmentationParameters;
  random: () => number;
};

function firstStep(
  { example, method }: PlannedCandidate<WritingMethod>,
  { examples, parameters: { pivot }, random }: Given,
): Step {
  const text = examples[example]?.text ?? "";
  const name = `inputs[0].examples[${example}].text`;
  switch (method) {
    case "paraphrase":
      return { name, slot: null, rewrite: { kind: "paraphrase", text } };
    case "style": {
      const style = styles[Math.floor(random() * styles.length)] ?? styles[0];
      return { name, slot: null, rewrite: { kind: "style", text, style } };
    }
    case "back_translation":
      return { name, slot: null, rewrite: { kind: "there", text, pivot } };
    case "slot": {
      const slot = openSlot(text, random);
      return slot && { name, slot, rewrite: { kind: "slot", text: slot.frame } };
    }
  }
}

class Writing {
  readonly #options: Options;
  readonly #planned: number;
  readonly usage: Usage & { completionTokens: number } = { promptTokens: 0, completionTokens: 0 };
  made = 0;
  #runs = 0;

  constructor(options: Options, planned: number) {
    const { model } = options.writer;
    if (model.chatTemplate === null) {
      const message = `${model.id} has no chat template, so it takes no instruction. Name another generator.`;
      throw new CodedError("invalid_value", message, { param: "generator" });
    }
    this.#options = options;
    this.#planned = planned;
  }

  /** Each run has seeds of its own, and each text in it: the same at whichever worker. */
  async answers(steps: readonly Step[]): Promise<(string | null)[]> {
    const asked = steps.filter((step) => step !== null);
    if (asked.length === 0) return steps.map(() => null);
    const { parameters, writer } = this.#options;
    const { max_tokens, temperature, seed } = parameters;
    this.#runs += 1;
    const sampling = { max_tokens, temperature, top_p: topP };
    const context = this.#counted(`augmentation ${seed} ${this.#runs}`);
    const { outputs, usage } = await generate(
      this.#prompts(asked),
      { parameters: sampling, echo: false, repeatable: true },
      { model: writer.model, context },
    );
    this.usage.promptTokens += usage.promptTokens;
    this.usage.completionTokens += usage.completionTokens ?? 0;
    const texts = outputs.map(({ choices: [choice] }) => choice?.text ?? "").values();
    return steps.map((step) => (step === null ? null : (texts.next().value ?? "")));
  }

  #counted(jobId: string): GenerationContext {
    const { report: _, progress: _told, ...context } = this.#options.writer.context;
    return {
      ...context,
      jobId,
      reserveResult: () => Promise.resolve(),
      generate: async (...asked) => {
        const end = await context.generate(...asked);
        this.made += 1;
        this.#options.progress(this.made, Math.max(this.#planned, this.made));
        return end;
      },
    };
  }

  async *#prompts(asked: readonly Asked[]): AsyncGenerator<Prompt> {
    const { model, context } = this.#options.writer;
    const template = templateOf(model);
    const { converse } = toolTemplateOf(template.template);
    for (const { rewrite, name } of asked) {
      const input = await context.renderChat(
        template,
        converse(rewriteMessages(rewrite, name), []),
      );
      yield* readPrompts([{ input, name }], model, { wrapped: false, signal: context.signal });
    }
  }
}
