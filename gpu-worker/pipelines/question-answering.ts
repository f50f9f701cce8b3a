/**
 * The part of a context that answers a question. Contexts of any length are read by windows that overlap. Scores, windows and
 * defaults are those of transformers' QuestionAnsweringPipeline; as there, the scores of equal answers within a window add up.
 * Between windows the best counts: a sum would favour what happens to lie where windows overlap, and pass 1.
 */
import { CodedError } from "#contract/errors.ts";
import type { TaskInput, TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { type Answer, questionAnsweringDefaults } from "#contract/tasks/question-answering.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { type WindowAnswers, bestSpans } from "./answer-spans.ts";
import type { EncoderModel } from "./encoder-model.ts";
import { type Place, placesIn, wordPlaces } from "./offsets.ts";
import type { EncoderPipeline, EncoderRow, RowResult } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { RequestTally } from "./sentence-request.ts";
import { type NamedText, type TextTokens, encodeLong, encodeTexts } from "./text-tokens.ts";
import { type WindowRules, isOverlapLowered, overlapWarning, windowsOf } from "./windows.ts";

type Parameters = TaskParameters<"question-answering">;
type Input = TaskInput<"question-answering">;

type Context = {
  text: string;
  words: readonly number[];
  /** Of each token, empty for one of white space. */
  places: Place[];
  /** Of the word each token is part of. */
  wordPlaces: Place[];
};

/** Tokens `from` to `to` of a context, in a row from `start`. */
type Window = { input: number; from: number; to: number; start: number };

/** Part of a context, UTF-16 code units. */
type Found = { start: number; end: number; score: number };

export const questionAnswering: EncoderPipeline<"question-answering"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, engine) {
    if (model.head.name !== "question-answering") {
      throw new CodedError("invalid_value", `${model.id} answers no questions`, { param: "model" });
    }
    const tally = new RequestTally();
    const options = { parameters, tally, signal: engine.signal };
    const { contexts, windows, rows, lowered } = await encode(inputs, model, options);
    const fix = "Lower top_k, or send fewer inputs.";
    const size = new ResultSize(engine, { param: "top_k", fix });
    await size.expect(sum(contexts.map((context) => bytesOf(context, parameters))));
    const { align_to_words: toWords = true } = parameters;
    const rules = spanRules(parameters, toWords);
    const gathered = contexts.map((context) => new GatheredAnswers(context, parameters));
    await readRows(rows, model, engine, {
      floatsOf: ({ ids }) => 2 * ids.length,
      async read(result, row, slices) {
        const window = windows[row];
        if (window === undefined) return;
        const context = contexts[window.input];
        const places = (toWords ? context?.wordPlaces : context?.places) ?? [];
        const mayBound = (token: number) => !isEmpty(places[window.from + token]);
        const answers = await bestSpans(logitsOf(window, result), { ...rules, mayBound }, slices);
        await gathered[window.input]?.add(window, answers, slices);
      },
    });
    const outputs = await new TimeSlices(engine.signal).map(gathered, (each) => each.output(size));
    return {
      outputs,
      usage: tally.usage(),
      warnings: [
        ...cappedWarning(parameters, model),
        ...(lowered ? [overlapWarning("doc_stride", parameters.doc_stride ?? 0)] : []),
      ],
    };
  },
};

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

const isEmpty = (place: Place | undefined) => place === undefined || place[0] === place[1];

/** Of an answer besides its words. */
const answerBytes = 64;

/** As many answers as are asked for, where the context has parts enough. */
function bytesOf({ places }: Context, parameters: Parameters): number {
  const { lengthMax } = spanRules(parameters, false);
  const parts = places.length * Math.min(lengthMax, places.length);
  return answerBytes * Math.min(parameters.top_k ?? 1, parts);
}

/** Several spans of tokens make one of whole words, whose scores add up: then so many more are looked at. */
const spansPerAnswer = 2;
const spansBesides = 10;

function spanRules(
  { top_k: answers = 1, max_answer_len: lengthMax = 15 }: Parameters,
  toWords: boolean,
) {
  return { topK: toWords ? answers * spansPerAnswer + spansBesides : answers, lengthMax };
}

function logitsOf({ from, to, start }: Window, { start_logits, end_logits }: RowResult) {
  const [starts, ends] = [start_logits ?? new Float32Array(), end_logits ?? new Float32Array()];
  const last = start + to - from;
  // A model whose rows begin with no special token cannot say that there is no answer.
  const none =
    start === 0
      ? { start: -Infinity, end: -Infinity }
      : { start: starts[0] ?? 0, end: ends[0] ?? 0 };
  return { starts: starts.subarray(start, last), ends: ends.subarray(start, last), none };
}

type EncodeOptions = { parameters: Parameters; tally: RequestTally; signal: AbortSignal };

async function encode(
  inputs: readonly Input[],
  model: EncoderModel,
  { parameters, tally, signal }: EncodeOptions,
): Promise<{ contexts: Context[]; windows: Window[]; rows: EncoderRow[]; lowered: boolean }> {
  const questions = await encodeQuestions(inputs, model, { parameters, tally, signal });
  const contexts: Context[] = [];
  const windows: Window[] = [];
  const rows: EncoderRow[] = [];
  let lowered = false;
  const slices = new TimeSlices(signal);
  for await (const tokens of encodeLong(fieldOf(inputs, "context"), model.tokenizer, {
    tally,
    signal,
  })) {
    slices.begin();
    const input = contexts.length;
    contexts.push(await contextOf(tokens, slices));
    const question = questions[input] ?? [];
    const rules = windowRules(question.length, `inputs[${input}].question`, model, parameters);
    lowered ||= parameters.doc_stride !== undefined && isOverlapLowered(tokens.ids.length, rules);
    for (const [from, to] of windowsOf(tokens.ids.length, rules)) {
      if (slices.over) await slices.next();
      const { ids, typeIds, starts } = model.tokenizer.wrap(question, tokens.ids.slice(from, to));
      tally.add({ ids, truncated: false });
      rows.push({ ids, typeIds, outputs: ["start_logits", "end_logits"] });
      windows.push({ input, from, to, start: starts[1] ?? 0 });
    }
  }
  return { contexts, windows, rows, lowered };
}

function fieldOf(inputs: readonly Input[], field: keyof Input): NamedText[] {
  return inputs.map((input, at) => ({ text: input[field], name: `inputs[${at}].${field}` }));
}

async function encodeQuestions(
  inputs: readonly Input[],
  { tokenizer }: EncoderModel,
  { parameters, signal }: EncodeOptions,
): Promise<(readonly number[])[]> {
  const most = parameters.max_question_len ?? questionAnsweringDefaults.max_question_len;
  const questions: (readonly number[])[] = [];
  // A question is counted to the end, for all but hostile ones.
  const options = { tokensMax: () => 16 * most, signal };
  for await (const question of encodeTexts(fieldOf(inputs, "question"), tokenizer, options)) {
    const { ids, complete, name } = question;
    if (!complete || ids.length > most) {
      throw new CodedError(
        "context_length_exceeded",
        `${name} has ${complete ? "" : "more than "}${ids.length} tokens, but max_question_len is ${most}. ` +
          "Shorten the question or raise max_question_len.",
        { param: name },
      );
    }
    questions.push(ids);
  }
  return questions;
}

async function contextOf(tokens: TextTokens, slices: TimeSlices): Promise<Context> {
  const { text, offsets, words, name } = tokens;
  const places = await wordPlaces(text, offsets, slices);
  if (places.every(isEmpty)) {
    throw new CodedError("invalid_value", `${name} holds no words to answer from`, { param: name });
  }
  return { text, words, places, wordPlaces: wholeWords(places, words) };
}

/** Place of the word each token is part of. */
function wholeWords(places: readonly Place[], words: readonly number[]): Place[] {
  const whole: Place[] = [];
  for (let first = 0, next = 0; first < places.length; first = next) {
    let [start, end] = [0, 0];
    for (next = first; next < places.length && words[next] === words[first]; next += 1) {
      const place = places[next];
      if (place === undefined || isEmpty(place)) continue;
      if (end === 0) [start] = place;
      [, end] = place;
    }
    const word: Place = [start, end];
    while (whole.length < next) whole.push(word);
  }
  return whole;
}

function windowLength({ max_seq_len: asked }: Parameters, { limits: own }: EncoderModel) {
  return Math.min(asked ?? questionAnsweringDefaults.max_seq_len, own.maxTokens);
}

function windowRules(
  question: number,
  name: string,
  model: EncoderModel,
  parameters: Parameters,
): WindowRules {
  const length = windowLength(parameters, model);
  const room = length - question - model.tokenizer.specialTokens.pair;
  if (room < 1) {
    throw new CodedError(
      "context_length_exceeded",
      `${name} has ${question} tokens and leaves no room for the context in a window of ${length} tokens. ` +
        "Shorten the question or raise max_seq_len.",
      { param: name },
    );
  }
  return { room, overlap: parameters.doc_stride ?? questionAnsweringDefaults.doc_stride };
}

function cappedWarning(parameters: Parameters, { limits: own, id }: EncoderModel): string[] {
  const { max_seq_len: asked } = parameters;
  if (asked === undefined || asked <= own.maxTokens) return [];
  return [`max_seq_len: ${asked} was lowered to ${own.maxTokens}, the most that ${id} reads`];
}

/** The answers of one context's windows, in bounded memory. Those that read alike are one, where the best of them stands. */
class GatheredAnswers {
  readonly #context: Context;
  readonly #parameters: Parameters;
  readonly #topK: number;
  /** The whole context in lower case; null where that has other places. */
  readonly #lower: string | null;
  /** By what they read. */
  #merged = new Map<string, Found>();
  /** The least score of "no answer". */
  #none = 1;

  constructor(context: Context, parameters: Parameters) {
    this.#context = context;
    this.#parameters = parameters;
    this.#topK = parameters.top_k ?? 1;
    const lower = context.text.toLowerCase();
    this.#lower = lower.length === context.text.length ? lower : null;
  }

  async add(window: Window, answers: WindowAnswers, slices: TimeSlices): Promise<void> {
    this.#none = Math.min(this.#none, answers.none);
    for (const [text, found] of await this.#foundIn(window, answers, slices)) {
      const before = this.#merged.get(text);
      if (before === undefined || found.score > before.score) this.#merged.set(text, found);
    }
    // What so many others are better than can only come back with a better score of its own.
    if (this.#merged.size > 2 * this.#topK) {
      this.#merged = new Map(
        [...this.#merged].sort(([, a], [, b]) => b.score - a.score).slice(0, this.#topK),
      );
    }
  }

  output(size: ResultSize): TaskOutput<"question-answering"> {
    const { handle_impossible_answer: mayBeNone = false, offset_unit: unit } = this.#parameters;
    const { text } = this.#context;
    const best = [...this.#merged.values()];
    if (mayBeNone) best.push({ start: 0, end: 0, score: this.#none });
    const placeOf = placesIn(text, unit);
    const answers = best
      .sort((a, b) => b.score - a.score)
      .slice(0, this.#topK)
      .map(({ start, end, score }): Answer => {
        size.add(answerBytes + end - start);
        const places = { start: placeOf(start), end: placeOf(end) };
        return { answer: text.slice(start, end), score, ...places };
      });
    const [first = { answer: "", score: 0, start: 0, end: 0 }] = answers;
    return this.#topK > 1 ? answers : first;
  }

  async #foundIn(
    { from }: Window,
    { spans }: WindowAnswers,
    slices: TimeSlices,
  ): Promise<Map<string, Found>> {
    const { text, places, wordPlaces: words } = this.#context;
    const source = (this.#parameters.align_to_words ?? true) ? words : places;
    const found = new Map<string, Found>();
    for (const span of spans) {
      if (slices.over) await slices.next();
      const start = source[from + span.start]?.[0] ?? 0;
      const end = source[from + span.end]?.[1] ?? 0;
      const key = this.#lower?.slice(start, end) ?? text.slice(start, end).toLowerCase();
      const before = found.get(key);
      if (before === undefined) found.set(key, { start, end, score: span.score });
      else before.score += span.score;
    }
    return found;
  }
}
