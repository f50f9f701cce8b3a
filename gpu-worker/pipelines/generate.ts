/**
 * What the tasks share that have a model write: prompts in, choices out, and what they grow by as they do. Prompts of a
 * request are generated side by side, in steps that they share with other requests.
 */
import type { Piece } from "#contract/events.ts";
import type { Usage } from "#contract/result-document.ts";
import { isRepeatable } from "#contract/tasks/generation.ts";
import type { Generation, GenerationParameters, TokenLogprob } from "#contract/tasks/generation.ts";
import type { DecoderModel } from "../model/decoder-model.ts";
import type { GeneratedToken, SamplingParameters } from "../model/generation.ts";
import type { TokenConstraint } from "../model/token-constraint.ts";
import type { CallParser } from "../tool-calls/call-parser.ts";
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

type Place = Pick<Piece, "input" | "choice">;

export type Asked = {
  readonly parameters: GenerationParameters;
  /** Whether a choice begins with its prompt. */
  readonly echo: boolean;
  /** Whether the same is to be written each time. Absent: as the parameters say. */
  readonly repeatable?: true;
  /** Calls of tools, which the texts may hold. Absent: none. */
  readonly calls?: {
    /** What the texts are held to, in place of `parameters.structure`. */
    constrain(): Promise<(choice: number) => TokenConstraint>;
    /** What parts a choice into text and calls. */
    parserOf(place: Place): CallParser;
  };
};

type With = { model: DecoderModel; context: GenerationContext };

export type Generated = { outputs: Generation[]; usage: Usage; warnings: string[] };

/** @throws CodedError for what the model cannot do; the signal's reason */
export async function generate(
  prompts: AsyncIterable<Prompt>,
  asked: Asked,
  { model, context }: With,
): Promise<Generated> {
  const { parameters } = asked;
  const sampling = samplingOf(parameters, model, context.jobId);
  const ordered = await orderPrompts(prompts, parameters, model);
  const size = await expectResult(ordered, asked, context);
  const pieces = new PieceGatherer(context.report?.bind(context));
  const constraint = await constraintOf(asked, { model, context });
  const run = new GenerationRun({ ...asked, model, context, size, pieces, constraint });
  const ends = await inTurns(ordered, (prompt, at) => run.generate(prompt, at, sampling(at)));
  pieces.flush();
  return {
    outputs: ends.map(({ output }) => output),
    usage: usageOf(ordered, ends),
    warnings: [],
  };
}

/** @returns null: the texts are free */
async function constraintOf(
  { parameters: { structure }, calls }: Asked,
  { model, context }: With,
): Promise<RunOptions["constraint"]> {
  if (calls !== undefined) return calls.constrain();
  return structure === undefined ? null : context.constrain(model, structure, "structure");
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

type End = { output: Generation } & Record<
  "completionTokens" | "forcedTokens" | "cachedTokens",
  number
>;

function usageOf(prompts: readonly Prompt[], ends: readonly End[]): Usage {
  const cachedTokens = ends.reduce((sum, end) => sum + end.cachedTokens, 0);
  const forcedTokens = ends.reduce((sum, end) => sum + end.forcedTokens, 0);
  return {
    promptTokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
    completionTokens: ends.reduce((sum, end) => sum + end.completionTokens, 0),
    ...(cachedTokens > 0 && { cachedTokens }),
    ...(forcedTokens > 0 && { forcedTokens }),
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
    const { model, context, parameters, echo, repeatable } = this.#options;
    const choices = parameters.n ?? 1;
    const promptLogprobs = echo && sampling.topLogprobs !== null;
    const begun = echo ? new EchoedPrompt(prompt, model) : null;
    const writers = Array.from({ length: choices }, (_, choice) =>
      this.#writer(prompt, begun, { input, choice }),
    );
    const request = {
      prompt: prompt.ids,
      choices,
      maxTokens: prompt.maxTokens,
      endTokens: model.endTokens,
      sampling,
      promptLogprobs,
      repeatable: repeatable ?? isRepeatable(parameters),
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
    if (prompt.maxTokens === 0) {
      for (const [choice, writer] of writers.entries())
        this.#grow({ input, choice }, () => writer.endAtStart());
    }
    if (this.#failure !== null) throw this.#failure.error;
    return {
      output: { choices: writers.map((writer) => writer.choice()) },
      completionTokens: writers.reduce((sum, { tokens }) => sum + tokens, 0),
      forcedTokens: writers.reduce((sum, writer) => sum + writer.forcedTokens, 0),
      cachedTokens,
    };
  }

  #writer(prompt: OrderedPrompt, begun: EchoedPrompt | null, place: Place): ChoiceWriter {
    const { model, parameters, calls } = this.#options;
    return new ChoiceWriter({
      tokenizer: model.tokenizer,
      endTokens: model.endTokens,
      maxTokens: prompt.maxTokens,
      stops: parameters.stop ?? [],
      prompt: prompt.ids,
      logprobs: parameters.top_logprobs !== undefined,
      ...(calls && { calls: calls.parserOf(place) }),
      start: () => begun?.start() ?? { text: "", logprobs: [] },
    });
  }

  /** @returns whether the choice goes on */
  #take(writer: ChoiceWriter | undefined, token: GeneratedToken, at: Place): boolean {
    if (writer === undefined) return false;
    return this.#grow(at, () => writer.push(token));
  }

  /** @returns whether the choice goes on */
  #grow(at: Place, write: () => Growth): boolean {
    if (this.#failure !== null) return false;
    try {
      const growth = write();
      this.#options.size.add(bytesOf(growth));
      this.#options.pieces.add({ ...at, ...growth });
      return growth.finishReason === undefined;
    } catch (error) {
      this.#failure = { error };
      return false;
    }
  }
}

/** Of a call as JSON, without its arguments. */
const callBytes = 160;

function bytesOf({ text, logprobs = [], toolCalls = [] }: Growth): number {
  const calls = toolCalls.reduce(
    (sum, { id, arguments: grown }) => sum + jsonBytes(grown) + (id === undefined ? 0 : callBytes),
    0,
  );
  return jsonBytes(text) + calls + logprobs.reduce((sum, each) => sum + logprobBytes(each), 0);
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
