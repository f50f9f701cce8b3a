/**
 * The part of a passage (the request's `context`) that answers a question. Passages of any length are read by windows
 * that overlap. Scores, windows and defaults are those of transformers' QuestionAnsweringPipeline; as there, the scores
 * of equal answers within a window add up. Between windows the best score counts: a sum would favour an answer that
 * lies where windows overlap, and could pass 1.
 */
import { CodedError } from "#contract/errors.ts";
import type { TaskInput, TaskOutput, TaskParameters } from "#contract/tasks.ts";
import { type Answer, questionAnsweringDefaults } from "#contract/tasks/question-answering.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { sum } from "../tensor/vectors.ts";
import { type EndLogits, answerHeadOf } from "./answer-head.ts";
import { type WindowAnswers, bestSpans } from "./answer-spans.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { type Span, offsetConverter, trimOffsets } from "./offsets.ts";
import type { EncoderRow } from "../model/encoder-row.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter } from "./sentence-request.ts";
import { type NamedText, type TextTokens, encodeLong, encodeTexts } from "./text-tokens.ts";
import { type WindowRules, isOverlapLowered, overlapWarning, windowsOf } from "./windows.ts";

type Parameters = TaskParameters<"question-answering">;
type Input = TaskInput<"question-answering">;

export type Passage = {
  text: string;
  words: readonly number[];
  /** Of each token; empty for a token of white space. */
  tokenSpans: Span[];
  /** Of the word each token is part of. */
  wordSpans: Span[];
};

/** Tokens `from` to `to` of a passage, which stand in their row from index `start` on. */
export type PassageWindow = { input: number; from: number; to: number; start: number };

/** Part of a passage, UTF-16 code units. */
type Found = { start: number; end: number; score: number };

export const questionAnswering: EncoderPipeline<"question-answering"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    const head = answerHeadOf(model);
    const counter = new TokenCounter();
    const options = { parameters, counter, signal: context.signal };
    const { passages, windows, lowered, ...encoded } = await encodePassages(inputs, model, options);
    const rows = encoded.rows.map((row) => ({ ...row, outputs: head.outputs }));
    const fix = "Lower top_k, or send fewer inputs.";
    const size = new ResultSize(context, { param: "top_k", fix });
    await size.expect(sum(passages.map((passage) => bytesOf(passage, parameters))));
    const gathered = passages.map((passage) => new GatheredAnswers(passage, parameters));
    await readRows(rows, model, context, {
      floatsOf: ({ ids }) => head.width * ids.length,
      async read(result, row, slices) {
        const window = windows[row];
        if (window === undefined) return;
        await gathered[window.input]?.read(window, head.logitsOf(result), slices);
      },
    });
    const outputs = await new TimeSlices(context.signal).map(gathered, (each) => each.output(size));
    return {
      outputs,
      usage: counter.usage(),
      warnings: [
        ...cappedWarning(parameters, model),
        ...(lowered ? [overlapWarning("doc_stride", parameters.doc_stride ?? 0)] : []),
      ],
    };
  },
};

const isEmpty = (span: Span | undefined) => span === undefined || span[0] === span[1];

/** Bytes of an answer as JSON besides its words. */
const answerBytes = 64;

/** Of as many answers as are asked for, or as the passage has parts. */
function bytesOf({ tokenSpans }: Passage, parameters: Parameters): number {
  const { lengthMax } = spanRules(parameters, false);
  const parts = tokenSpans.length * Math.min(lengthMax, tokenSpans.length);
  return answerBytes * Math.min(parameters.top_k ?? 1, parts);
}

/** Several spans of tokens become one of whole words, whose scores add up: so many more are looked at then. */
const spansPerAnswer = 2;
const spansBesides = 10;

function spanRules(
  { top_k: answers = 1, max_answer_len: lengthMax = 15 }: Parameters,
  toWords: boolean,
) {
  return { topK: toWords ? answers * spansPerAnswer + spansBesides : answers, lengthMax };
}

function logitsOf({ from, to, start }: PassageWindow, { start_logits, end_logits }: EndLogits) {
  const [starts, ends] = [start_logits ?? new Float32Array(), end_logits ?? new Float32Array()];
  const last = start + to - from;
  // A model whose rows begin with no special token cannot say that there is no answer.
  const none =
    start === 0
      ? { start: -Infinity, end: -Infinity }
      : { start: starts[0] ?? 0, end: ends[0] ?? 0 };
  return { starts: starts.subarray(start, last), ends: ends.subarray(start, last), none };
}

type QuestionModel = Pick<EncoderModel, "id" | "tokenizer" | "limits">;

type EncodeOptions = { parameters: Parameters; counter: TokenCounter; signal: AbortSignal };

/** @throws CodedError for what the model cannot read; the signal's reason */
export async function encodePassages(
  inputs: readonly Input[],
  model: QuestionModel,
  { parameters, counter, signal }: EncodeOptions,
): Promise<{
  passages: Passage[];
  windows: PassageWindow[];
  rows: Omit<EncoderRow, "outputs">[];
  lowered: boolean;
}> {
  const questions = await encodeQuestions(inputs, model, { parameters, counter, signal });
  const passages: Passage[] = [];
  const windows: PassageWindow[] = [];
  const rows: Omit<EncoderRow, "outputs">[] = [];
  let lowered = false;
  const slices = new TimeSlices(signal);
  for await (const tokens of encodeLong(fieldOf(inputs, "context"), model.tokenizer, {
    counter,
    signal,
  })) {
    slices.begin();
    const input = passages.length;
    passages.push(await passageOf(tokens, slices));
    const question = questions[input] ?? [];
    const rules = windowRules(question.length, `inputs[${input}].question`, model, parameters);
    lowered ||= parameters.doc_stride !== undefined && isOverlapLowered(tokens.ids.length, rules);
    for (const [from, to] of windowsOf(tokens.ids.length, rules)) {
      if (slices.over) await slices.next();
      const { ids, typeIds, starts } = model.tokenizer.wrap(question, tokens.ids.slice(from, to));
      counter.add({ ids, truncated: false });
      rows.push({ ids, typeIds });
      windows.push({ input, from, to, start: starts[1] ?? 0 });
    }
  }
  return { passages, windows, rows, lowered };
}

function fieldOf(inputs: readonly Input[], field: keyof Input): NamedText[] {
  return inputs.map((input, at) => ({ text: input[field], name: `inputs[${at}].${field}` }));
}

async function encodeQuestions(
  inputs: readonly Input[],
  { tokenizer }: QuestionModel,
  { parameters, signal }: EncodeOptions,
): Promise<(readonly number[])[]> {
  const most = parameters.max_question_len ?? questionAnsweringDefaults.max_question_len;
  const questions: (readonly number[])[] = [];
  // The refusal says how many tokens a question has, unless there are far more than any real question holds.
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

async function passageOf(tokens: TextTokens, slices: TimeSlices): Promise<Passage> {
  const { text, offsets, words, name } = tokens;
  const tokenSpans = await trimOffsets(text, offsets, slices);
  if (tokenSpans.every(isEmpty)) {
    throw new CodedError("invalid_value", `${name} holds no words to answer from`, { param: name });
  }
  return { text, words, tokenSpans, wordSpans: wholeWords(tokenSpans, words) };
}

/** Span of the word each token is part of. */
function wholeWords(tokenSpans: readonly Span[], words: readonly number[]): Span[] {
  const whole: Span[] = [];
  for (let first = 0, next = 0; first < tokenSpans.length; first = next) {
    let [start, end] = [0, 0];
    for (next = first; next < tokenSpans.length && words[next] === words[first]; next += 1) {
      const span = tokenSpans[next];
      if (span === undefined || isEmpty(span)) continue;
      if (end === 0) [start] = span;
      [, end] = span;
    }
    const word: Span = [start, end];
    while (whole.length < next) whole.push(word);
  }
  return whole;
}

function windowLength({ max_seq_len: asked }: Parameters, { limits: own }: QuestionModel) {
  return Math.min(asked ?? questionAnsweringDefaults.max_seq_len, own.maxTokens);
}

function windowRules(
  question: number,
  name: string,
  model: QuestionModel,
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

function cappedWarning(parameters: Parameters, { limits: own, id }: QuestionModel): string[] {
  const { max_seq_len: asked } = parameters;
  if (asked === undefined || asked <= own.maxTokens) return [];
  return [`max_seq_len: ${asked} was lowered to ${own.maxTokens}, the most that ${id} reads`];
}

/** The answers of one passage's windows, in bounded memory. Of answers with the same words the best counts. */
export class GatheredAnswers {
  readonly #passage: Passage;
  readonly #parameters: Parameters;
  readonly #topK: number;
  /** The whole passage in lower case; null where that has another length, and so other offsets. */
  readonly #lower: string | null;
  /** By their words in lower case. */
  #merged = new Map<string, Found>();
  /** The least score of "no answer" in any window. */
  #none = 1;

  constructor(passage: Passage, parameters: Parameters) {
    this.#passage = passage;
    this.#parameters = parameters;
    this.#topK = parameters.top_k ?? 1;
    const lower = passage.text.toLowerCase();
    this.#lower = lower.length === passage.text.length ? lower : null;
  }

  async read(window: PassageWindow, result: EndLogits, slices: TimeSlices): Promise<void> {
    const { align_to_words: toWords = true } = this.#parameters;
    const { wordSpans, tokenSpans } = this.#passage;
    const spans = toWords ? wordSpans : tokenSpans;
    const mayBound = (token: number) => !isEmpty(spans[window.from + token]);
    const rules = { ...spanRules(this.#parameters, toWords), mayBound };
    await this.#add(window, await bestSpans(logitsOf(window, result), rules, slices), slices);
  }

  async #add(window: PassageWindow, answers: WindowAnswers, slices: TimeSlices): Promise<void> {
    this.#none = Math.min(this.#none, answers.none);
    for (const [text, found] of await this.#foundIn(window, answers, slices)) {
      const before = this.#merged.get(text);
      if (before === undefined || found.score > before.score) this.#merged.set(text, found);
    }
    // An answer that is dropped here can only come back with a better score of its own.
    if (this.#merged.size > 2 * this.#topK) {
      this.#merged = new Map(
        [...this.#merged].sort(([, a], [, b]) => b.score - a.score).slice(0, this.#topK),
      );
    }
  }

  /** As many as were asked for, the best first; one without words is "no answer". */
  best(): Found[] {
    const found = [...this.#merged.values()];
    if (this.#parameters.handle_impossible_answer === true) {
      found.push({ start: 0, end: 0, score: this.#none });
    }
    return found.sort((a, b) => b.score - a.score).slice(0, this.#topK);
  }

  output(size: ResultSize): TaskOutput<"question-answering"> {
    const { text } = this.#passage;
    const offsetOf = offsetConverter(text, this.#parameters.offset_unit);
    const answers = this.best().map(({ start, end, score }): Answer => {
      size.add(answerBytes + end - start);
      return {
        answer: text.slice(start, end),
        score,
        start: offsetOf(start),
        end: offsetOf(end),
      };
    });
    const [first = { answer: "", score: 0, start: 0, end: 0 }] = answers;
    return this.#topK > 1 ? answers : first;
  }

  async #foundIn(
    { from }: PassageWindow,
    { spans }: WindowAnswers,
    slices: TimeSlices,
  ): Promise<Map<string, Found>> {
    const { text, tokenSpans, wordSpans } = this.#passage;
    const source = (this.#parameters.align_to_words ?? true) ? wordSpans : tokenSpans;
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
