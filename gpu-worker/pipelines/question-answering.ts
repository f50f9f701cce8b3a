/**
 * The part of a context that answers a question. Contexts of any length are read by windows that overlap. Scores, windows and
 * defaults are those of transformers' QuestionAnsweringPipeline; as there, the scores of equal answers within a window add up.
 * Between windows the best counts: a sum would favour what happens to lie where windows overlap, and pass 1.
 */
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { TaskInput, TaskOutput, TaskParameters } from "#contract/tasks.ts";
import type { Answer } from "#contract/tasks/question-answering.ts";
import { type WindowAnswers, bestSpans } from "./answer-spans.ts";
import type { EncoderModel } from "./encoder-model.ts";
import { type Place, placesIn, wordPlaces } from "./offsets.ts";
import type { EncoderPipeline, EncoderRow, RowResult } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { RequestTally } from "./sentence-request.ts";
import { type NamedText, type TextTokens, encodeTexts, requireComplete } from "./text-tokens.ts";
import { windowsOf } from "./windows.ts";

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
    const { contexts, windows, rows } = await encode(inputs, model, options);
    const { align_to_words: toWords = true } = parameters;
    const rules = spanRules(parameters, toWords);
    const read = await readRows(rows, model, engine, {
      floatsOf: ({ ids }) => 2 * ids.length,
      read(result, row) {
        const window = windows[row];
        if (window === undefined) return { spans: [], none: 0 };
        const context = contexts[window.input];
        const places = (toWords ? context?.wordPlaces : context?.places) ?? [];
        const mayBound = (token: number) => !isEmpty(places[window.from + token]);
        return bestSpans(logitsOf(window, result), { ...rules, mayBound });
      },
    });
    const byInput: WindowRead[][] = inputs.map(() => []);
    for (const [row, window] of windows.entries()) {
      const answers = read[row];
      if (answers !== undefined) byInput[window.input]?.push({ window, answers });
    }
    return {
      outputs: contexts.map((context, at) => answerOf(context, byInput[at] ?? [], parameters)),
      usage: tally.usage(),
      warnings: cappedWarning(parameters, model),
    };
  },
};

type WindowRead = { window: Window; answers: WindowAnswers };

const isEmpty = (place: Place | undefined) => place === undefined || place[0] === place[1];

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
): Promise<{ contexts: Context[]; windows: Window[]; rows: EncoderRow[] }> {
  const questions = await encodeQuestions(inputs, model, { parameters, tally, signal });
  const contexts: Context[] = [];
  const windows: Window[] = [];
  const rows: EncoderRow[] = [];
  const options = { tokensMax: limits.tokensPerRequestMax, signal };
  for await (const tokens of encodeTexts(fieldOf(inputs, "context"), model.tokenizer, options)) {
    const input = contexts.length;
    contexts.push(contextOf(tokens));
    const question = questions[input] ?? [];
    const rules = windowRules(question.length, `inputs[${input}].question`, model, parameters);
    for (const [from, to] of windowsOf(tokens.ids.length, rules)) {
      const { ids, typeIds, starts } = model.tokenizer.wrap(question, tokens.ids.slice(from, to));
      tally.add({ ids, truncated: false });
      rows.push({ ids, typeIds, outputs: ["start_logits", "end_logits"] });
      windows.push({ input, from, to, start: starts[1] ?? 0 });
    }
  }
  return { contexts, windows, rows };
}

function fieldOf(inputs: readonly Input[], field: keyof Input): NamedText[] {
  return inputs.map((input, at) => ({ text: input[field], name: `inputs[${at}].${field}` }));
}

async function encodeQuestions(
  inputs: readonly Input[],
  { tokenizer }: EncoderModel,
  { parameters, signal }: EncodeOptions,
): Promise<(readonly number[])[]> {
  const most = parameters.max_question_len ?? 64;
  const questions: (readonly number[])[] = [];
  // A question is counted to the end, for all but hostile ones.
  const options = { tokensMax: 16 * most, signal };
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

function contextOf(tokens: TextTokens): Context {
  requireComplete(tokens);
  const { text, offsets, words, name } = tokens;
  const places = wordPlaces(text, offsets);
  if (places.every(isEmpty)) {
    throw new CodedError("invalid_value", `${name} holds no words to answer from`, { param: name });
  }
  return { text, words, places, wordPlaces: wholeWords(places, words) };
}

/** Place of the word each token is part of. */
function wholeWords(places: readonly Place[], words: readonly number[]): Place[] {
  const whole: Place[] = [];
  for (let first = 0, next = 0; first < places.length; first = next) {
    while (next < places.length && words[next] === words[first]) next += 1;
    const own = places.slice(first, next).filter((place) => !isEmpty(place));
    const word: Place = [own[0]?.[0] ?? 0, own.at(-1)?.[1] ?? 0];
    whole.push(...places.slice(first, next).map(() => word));
  }
  return whole;
}

function windowLength({ max_seq_len: asked = 384 }: Parameters, { limits: own }: EncoderModel) {
  return Math.min(asked, own.maxTokens);
}

function windowRules(
  question: number,
  name: string,
  model: EncoderModel,
  parameters: Parameters,
): { room: number; overlap: number; param: string } {
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
  const usual = Math.min(128, Math.floor(length / 2), Math.floor(room / 2));
  return { room, overlap: parameters.doc_stride ?? usual, param: "doc_stride" };
}

function cappedWarning(parameters: Parameters, { limits: own, id }: EncoderModel): string[] {
  const { max_seq_len: asked } = parameters;
  if (asked === undefined || asked <= own.maxTokens) return [];
  return [`max_seq_len: ${asked} was lowered to ${own.maxTokens}, the most that ${id} reads`];
}

function answerOf(
  context: Context,
  reads: readonly WindowRead[],
  parameters: Parameters,
): TaskOutput<"question-answering"> {
  const { top_k: topK = 1, handle_impossible_answer: mayBeNone = false } = parameters;
  const best = mergeWindows(context, reads, parameters.align_to_words ?? true);
  if (mayBeNone) {
    const score = reads.reduce((least, { answers }) => Math.min(least, answers.none), 1);
    best.push({ start: 0, end: 0, score });
  }
  const placeOf = placesIn(context.text, parameters.offset_unit);
  const answers = best
    .sort((a, b) => b.score - a.score)
    .slice(0, topK)
    .map(({ start, end, score }): Answer => {
      const places = { start: placeOf(start), end: placeOf(end) };
      return { answer: context.text.slice(start, end), score, ...places };
    });
  const [first = { answer: "", score: 0, start: 0, end: 0 }] = answers;
  return topK > 1 ? answers : first;
}

/** Answers that read alike are one, where the best of them stands. */
function mergeWindows(context: Context, reads: readonly WindowRead[], toWords: boolean): Found[] {
  const merged = new Map<string, Found>();
  for (const { window, answers } of reads) {
    for (const [text, found] of answersIn(context, window, { answers, toWords })) {
      const before = merged.get(text);
      if (before === undefined || found.score > before.score) merged.set(text, found);
    }
  }
  return [...merged.values()];
}

function answersIn(
  { text, places, wordPlaces: words }: Context,
  { from }: Window,
  { answers, toWords }: { answers: WindowAnswers; toWords: boolean },
): Map<string, Found> {
  const found = new Map<string, Found>();
  const source = toWords ? words : places;
  for (const span of answers.spans) {
    const start = source[from + span.start]?.[0] ?? 0;
    const end = source[from + span.end]?.[1] ?? 0;
    const key = text.slice(start, end).toLowerCase();
    const before = found.get(key);
    if (before === undefined) found.set(key, { start, end, score: span.score });
    else before.score += span.score;
  }
  return found;
}
