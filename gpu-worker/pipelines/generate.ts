/**
 * What the tasks share that have a model write: prompts in, choices out, and what they grow by as they do. Prompts of a
 * request are generated side by side, in steps that they share with other requests.
 */
import { CodedError } from "#contract/errors.ts";
import type { Piece } from "#contract/events.ts";
import type { Usage } from "#contract/result-document.ts";
import type { Generation, GenerationParameters, TokenLogprob } from "#contract/tasks/generation.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { GeneratedToken, SamplingParameters } from "../model/generation.ts";
import type { TokenConstraint } from "../model/token-constraint.ts";
import { type ChoiceStart, ChoiceWriter, type Growth } from "./choice-writer.ts";
import { type OrderedPrompt, orderPrompts, samplingOf } from "./generation-order.ts";
import { PieceGatherer } from "./piece-gatherer.ts";
import type { GenerationContext } from "./pipeline.ts";
import type { Prompt } from "./read-prompts.ts";
import { jsonBytes, ResultSize } from "./result-size.ts";
import { logprobBytes, logprobBytesMin, tokenLogprob } from "./token-logprobs.ts";

/** Prompts of a request on their way at once: more than steps have room for gain nothing. */
const promptsAtOnce = 32;

/** Bytes of a token's text as JSON, about. */
const bytesPerToken = 6;

type Asked = {
  readonly parameters: GenerationParameters;
  /** Whether a choice begins with its prompt. */
  readonly echo: boolean;
};

export type Generated = { outputs: Generation[]; usage: Usage; warnings: string[] };

/** @throws CodedError for what the model cannot do; the signal's reason */
export async function generate(
  prompts: AsyncIterable<Prompt>,
  { parameters, echo }: Asked,
  { model, context }: { model: DecoderModel; context: GenerationContext },
): Promise<Generated> {
  const sampling = samplingOf(parameters, model, context.jobId);
  const ordered = await orderPrompts(prompts, parameters, model);
  const size = await expectResult(ordered, { parameters, echo }, context);
  const pieces = new PieceGatherer(context.report?.bind(context));
  const { structure } = parameters;
  const constraint =
    structure === undefined ? null : await context.constrain(model, structure, "structure");
  if (constraint !== null) await expectRoom(ordered, constraint(0));
  const run = new GenerationRun({ model, context, parameters, echo, size, pieces, constraint });
  const ends = await inTurns(ordered, (prompt, at) => run.generate(prompt, at, sampling(at)));
  pieces.flush();
  return {
    outputs: ends.map(({ output }) => output),
    usage: usageOf(ordered, ends),
    warnings: [],
  };
}

/** @throws CodedError where a choice has no room for even a short text of its structure */
async function expectRoom(
  prompts: readonly OrderedPrompt[],
  begun: TokenConstraint,
): Promise<void> {
  using constraint = begun;
  const { closing } = await constraint.next();
  const room = Math.min(...prompts.map(({ maxTokens }) => maxTokens));
  if (closing.length <= room) return;
  throw new CodedError(
    "invalid_value",
    `A text of this structure takes at least about ${closing.length} tokens, and there is room for ${room}. Set ` +
      `max_tokens to ${closing.length} or more, shorten the prompt, or ask for less.`,
    { param: "max_tokens" },
  );
}

async function expectResult(
  prompts: readonly OrderedPrompt[],
  { parameters: { n = 1, top_logprobs: top }, echo }: Asked,
  context: GenerationContext,
): Promise<ResultSize> {
  const told = top === undefined ? bytesPerToken : bytesPerToken + logprobBytesMin(top);
  const tokens = prompts.reduce(
    (sum, { ids, maxTokens }) => sum + n * (maxTokens + (echo ? ids.length : 0)),
    0,
  );
  const param = top === undefined ? "max_tokens" : "top_logprobs";
  const fix =
    "Send fewer prompts, or ask for less of each with n, max_tokens and log probabilities.";
  const size = new ResultSize(context, { param, fix });
  await size.expect(told * tokens);
  return size;
}

/** In order, so many at a time; after one that fails no other is begun. */
async function inTurns<T, R>(
  items: readonly T[],
  make: (item: T, at: number) => Promise<R>,
): Promise<R[]> {
  const made: R[] = [];
  const rest = items.entries();
  let failed = false;
  const work = async () => {
    for (const [at, item] of rest) {
      if (failed) return;
      try {
        made[at] = await make(item, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: promptsAtOnce }, work));
  for (const each of settled) if (each.status === "rejected") throw each.reason;
  return made;
}

type End = { output: Generation; completionTokens: number; cachedTokens: number };

function usageOf(prompts: readonly Prompt[], ends: readonly End[]): Usage {
  const cachedTokens = ends.reduce((sum, end) => sum + end.cachedTokens, 0);
  return {
    promptTokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
    completionTokens: ends.reduce((sum, end) => sum + end.completionTokens, 0),
    ...(cachedTokens > 0 && { cachedTokens }),
  };
}

type RunOptions = Asked & {
  readonly model: DecoderModel;
  readonly context: GenerationContext;
  readonly size: ResultSize;
  readonly pieces: PieceGatherer;
  readonly constraint: ((choice: number) => TokenConstraint) | null;
};

/** The prompts of one request; where one fails, the others end with their next token. */
class GenerationRun {
  readonly #options: RunOptions;
  #failure: { error: unknown } | null = null;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async generate(prompt: OrderedPrompt, input: number, sampling: SamplingParameters): Promise<End> {
    const { model, context, parameters, echo } = this.#options;
    const choices = parameters.n ?? 1;
    const promptLogprobs = echo && sampling.topLogprobs !== null;
    const begun = echo ? new EchoedPrompt(prompt, model) : null;
    const writers = Array.from({ length: choices }, () => this.#writer(prompt, begun));
    const request = {
      prompt: prompt.ids,
      choices,
      maxTokens: prompt.maxTokens,
      endTokens: model.endTokens,
      sampling,
      promptLogprobs,
      ...(this.#options.constraint && { constraint: this.#options.constraint }),
    };
    const handlers = {
      onPrompt: (tokens: readonly (GeneratedToken | null)[]) => begun?.tell(tokens),
      onToken: (choice: number, token: GeneratedToken) =>
        this.#take(writers[choice], token, { input, choice }),
    };
    const { cachedTokens } = await context.generate(model, request, handlers).catch((error) => {
      this.#failure ??= { error };
      throw error;
    });
    if (this.#failure !== null) throw this.#failure.error;
    return {
      output: { choices: writers.map((writer) => writer.choice()) },
      completionTokens: writers.reduce((sum, { tokens }) => sum + tokens, 0),
      cachedTokens,
    };
  }

  #writer(prompt: OrderedPrompt, begun: EchoedPrompt | null): ChoiceWriter {
    const { model, parameters } = this.#options;
    return new ChoiceWriter({
      tokenizer: model.tokenizer,
      endTokens: model.endTokens,
      maxTokens: prompt.maxTokens,
      stops: parameters.stop ?? [],
      prompt: prompt.ids,
      logprobs: parameters.top_logprobs !== undefined,
      start: () => begun?.start() ?? { text: "", logprobs: [] },
    });
  }

  /** @returns whether the choice goes on */
  #take(
    writer: ChoiceWriter | undefined,
    token: GeneratedToken,
    at: Pick<Piece, "input" | "choice">,
  ): boolean {
    if (writer === undefined || this.#failure !== null) return false;
    try {
      const growth = writer.push(token);
      this.#options.size.add(bytesOf(growth));
      this.#options.pieces.add({ ...at, ...growth });
      return growth.finishReason === undefined;
    } catch (error) {
      this.#failure = { error };
      return false;
    }
  }
}

function bytesOf({ text, logprobs = [] }: Growth): number {
  return jsonBytes(text) + logprobs.reduce((sum, each) => sum + logprobBytes(each), 0);
}

/** What every choice of an echoed prompt begins with. */
class EchoedPrompt {
  readonly #prompt: Prompt;
  readonly #model: DecoderModel;
  #logprobs: readonly TokenLogprob[] = [];

  constructor(prompt: Prompt, model: DecoderModel) {
    this.#prompt = prompt;
    this.#model = model;
  }

  tell(tokens: readonly (GeneratedToken | null)[]): void {
    const { tokenizer } = this.#model;
    this.#logprobs = this.#prompt.ids.map((id, at) =>
      tokenLogprob(id, tokens[at] ?? null, tokenizer),
    );
  }

  start(): ChoiceStart {
    const { ids, text } = this.#prompt;
    return { text: text ?? this.#model.tokenizer.decode(ids), logprobs: this.#logprobs };
  }
}
