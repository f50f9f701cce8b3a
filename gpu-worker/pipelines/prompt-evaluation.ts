/**
 * A prompt judged by its answers to labelled examples, all of a round side by side; and, where it is to be improved,
 * the best of its candidates, found by successive halving and judged on examples that no candidate saw.
 */
import {
  type Candidate,
  candidatesOf,
  divide,
  type Divided,
} from "#contract/prompts/candidates.ts";
import { roundsOf } from "#contract/prompts/evaluation-plan.ts";
import { type Prompt, renderPrompt } from "#contract/prompts/prompt.ts";
import type { Optimisation, PromptReport } from "#contract/prompts/prompt-report.ts";
import type { Usage } from "#contract/result-document.ts";
import type { Choice, GenerationParameters } from "#contract/tasks/generation.ts";
import type { EvaluationParameters, PromptEvaluation } from "#contract/tasks/prompt-evaluation.ts";
import {
  accuracyOf,
  countRight,
  differenceOf,
  figuresOf,
  judge,
  type JudgedExample,
} from "../evaluation/prompt-figures.ts";
import type { ChatTemplate, DecoderModel } from "../model/decoder-model.ts";
import { toolTemplateOf } from "../tool-calls/tool-conversation.ts";
import { templateOf } from "./chat-completion.ts";
import { generate } from "./generate.ts";
import type { DecoderPipeline, GenerationContext } from "./pipeline.ts";
import { type Prompt as ReadPrompt, readPrompts } from "./read-prompts.ts";

export const promptEvaluation: DecoderPipeline<"prompt-evaluation"> = {
  kind: "decoder",
  async answer({ inputs, parameters }, model, context) {
    const outputs: PromptReport[] = [];
    const usage: Usage = { promptTokens: 0, completionTokens: 0 };
    for (const [index, input] of inputs.entries()) {
      const name = `inputs[${index}]`;
      const evaluation = new Evaluation({ input, name, parameters, model, context });
      outputs.push(await evaluation.report());
      usage.promptTokens += evaluation.usage.promptTokens;
      usage.completionTokens = (usage.completionTokens ?? 0) + evaluation.completionTokens;
    }
    return { outputs, usage, warnings: [] };
  },
};

type Options = {
  readonly input: PromptEvaluation;
  /** As it stands in the request. */
  readonly name: string;
  readonly parameters: EvaluationParameters;
  readonly model: DecoderModel;
  readonly context: GenerationContext;
};

/** A prompt to be answered with the variables of an example. */
type Call = { readonly prompt: Prompt; readonly index: number };

type Contender = { readonly candidate: Candidate; readonly judged: JudgedExample[] };

class Evaluation {
  readonly #options: Options;
  readonly #template: ChatTemplate;
  #calls = 0;
  #planned = 0;
  #completed = 0;
  #promptTokens = 0;
  #completionTokens = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#template = templateOf(options.model);
  }

  get usage(): Usage {
    return { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens };
  }

  get completionTokens(): number {
    return this.#completionTokens;
  }

  async report(): Promise<PromptReport> {
    const { input, parameters } = this.#options;
    const { prompt, examples, labels } = input;
    const constrained = parameters.constrain && labels !== null;
    if (parameters.optimise) {
      const { optimisation, judged } = await this.#optimise();
      return { constrained, figures: figuresOf(judged, labels), optimisation, cost: this.#cost() };
    }
    this.#planned = examples.length;
    const judged = await this.#judge(examples.map((_, index) => ({ prompt, index })));
    return {
      constrained,
      figures: figuresOf(judged, labels),
      optimisation: null,
      cost: this.#cost(),
    };
  }

  #cost(): PromptReport["cost"] {
    const [prompt_tokens, completion_tokens] = [this.#promptTokens, this.#completionTokens];
    const units = prompt_tokens + completion_tokens;
    return { calls: this.#calls, prompt_tokens, completion_tokens, units };
  }

  async #optimise(): Promise<{ optimisation: Optimisation; judged: JudgedExample[] }> {
    const { input, parameters } = this.#options;
    const { split_seed } = parameters;
    const divided = divide(input.examples.length, split_seed);
    const contenders = candidatesOf(input, divided, split_seed).map((candidate): Contender => ({
      candidate,
      judged: [],
    }));
    const [first] = contenders;
    if (first === undefined) throw new Error("a prompt is a candidate itself");
    const winner = await this.#halve(contenders, divided);
    const { heldOut } = divided;
    const base = await this.#judge(callsOf(first.candidate, heldOut));
    const other = winner === first ? base : await this.#judge(callsOf(winner.candidate, heldOut));
    const difference = differenceOf(base, other);
    const better = winner !== first && difference.low > 0;
    const optimisation: Optimisation = {
      shots_from: divided.pool.length,
      judged_on: divided.judged.length,
      held_out: heldOut.length,
      split_seed,
      candidates: contenders.map(shownCandidate),
      baseline: accuracyOf(base),
      winner: { ...shownCandidate(winner), accuracy: accuracyOf(other) },
      difference,
      better,
      prompt: winner === first ? null : winner.candidate.prompt,
    };
    return { optimisation, judged: better ? other : base };
  }

  /** @returns the one that is right most often; of equals the first, which is the simplest */
  async #halve(contenders: readonly Contender[], { judged, heldOut }: Divided): Promise<Contender> {
    const rounds = roundsOf(contenders.length, judged.length);
    const calls = rounds.reduce(
      (sum, { candidates, from, to }) => sum + candidates * (to - from),
      0,
    );
    this.#planned = calls + 2 * heldOut.length;
    let left = [...contenders];
    for (const { candidates, from, to } of rounds) {
      left = left.slice(0, candidates);
      const indices = judged.slice(from, to);
      const answers = await this.#judge(
        left.flatMap(({ candidate }) => callsOf(candidate, indices)),
      );
      for (const [at, contender] of left.entries())
        contender.judged.push(...answers.slice(at * indices.length, (at + 1) * indices.length));
      // Stable: of equals the first stays first.
      left = left.toSorted((a, b) => countRight(b.judged) - countRight(a.judged));
    }
    const [best] = left;
    if (best === undefined) throw new Error("one candidate is always left");
    return best;
  }

  /** In the order of the calls. */
  async #judge(calls: readonly Call[]): Promise<JudgedExample[]> {
    const { input, model } = this.#options;
    const asked = { parameters: this.#parameters(), echo: false };
    const context = this.#counted();
    const { outputs, usage } = await generate(this.#prompts(calls), asked, { model, context });
    this.#calls += calls.length;
    this.#promptTokens += usage.promptTokens;
    this.#completionTokens += usage.completionTokens ?? 0;
    return calls.map(({ index }, at) => {
      const [choice] = outputs[at]?.choices ?? [];
      const { variables, output: expected } = input.examples[index] ?? {
        variables: {},
        output: "",
      };
      const confidence = choice === undefined ? null : confidenceOf(choice);
      const answer = choice?.text.trim() ?? "";
      const shown = JSON.stringify(variables);
      return judge({ index, variables: shown, expected, answer, confidence }, input.labels);
    });
  }

  #parameters(): GenerationParameters {
    const { input, parameters } = this.#options;
    const { constrain, optimise: _, split_seed: _seed, ...sampling } = parameters;
    const { labels } = input;
    if (labels === null) return sampling;
    const told = { ...sampling, top_logprobs: 0 };
    return constrain ? { ...told, structure: { type: "choice", choices: labels } } : told;
  }

  /** Nothing of the answers is told as they are written; how many there are is. */
  #counted(): GenerationContext {
    const { report: _, ...context } = this.#options.context;
    return {
      ...context,
      generate: async (...asked) => {
        const end = await context.generate(...asked);
        this.#completed += 1;
        context.progress?.(this.#completed, Math.max(this.#planned, this.#completed));
        return end;
      },
    };
  }

  /** One after the other, so that no more than one is held as a text. */
  async *#prompts(calls: readonly Call[]): AsyncGenerator<ReadPrompt> {
    const { input, name, model, context } = this.#options;
    const { converse } = toolTemplateOf(this.#template.template);
    for (const { prompt, index } of calls) {
      const at = `${name}.examples[${index}]`;
      const messages = renderPrompt(prompt, input.examples[index]?.variables ?? {}, at);
      const text = await context.renderChat(this.#template, converse(messages, []));
      const rules = { wrapped: false, signal: context.signal };
      yield* readPrompts([{ input: text, name: at }], model, rules);
    }
  }
}

function callsOf({ prompt }: Candidate, indices: readonly number[]): Call[] {
  return indices.map((index) => ({ prompt, index }));
}

function shownCandidate({ candidate, judged }: Contender) {
  const { wording, prompt } = candidate;
  return {
    wording,
    shots: prompt.examples.length,
    examples: judged.length,
    right: countRight(judged),
  };
}

/** The probability that the model gives to the whole of an answer. */
function confidenceOf({ logprobs }: Choice): number | null {
  if (logprobs === null) return null;
  const logarithm = logprobs.reduce((sum, { logprob }) => sum + (logprob ?? 0), 0);
  return Math.min(1, Math.exp(logarithm));
}
