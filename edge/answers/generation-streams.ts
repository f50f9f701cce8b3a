/**
 * What a model writes, as it is written: a piece of a choice in the words of OpenAI's chunks and of TGI's events. A
 * piece is looked at by itself; nothing is remembered from one to the next.
 */
import type { Piece } from "#contract/events.ts";
import type { Usage } from "#contract/result-document.ts";
import {
  type CallWords,
  chatFinish,
  chatLogprobs,
  completionLogprobs,
  completionUsage,
  deltaCalls,
  fingerprint,
  isText,
  openaiFinish,
  type TgiForm,
  tgiEnd,
  tgiToken,
} from "./generations.ts";

type Data = { data: string };
type Maker = { model: string; modelDigest: string };
export type ChunkForm = {
  id: string;
  /** Seconds since the epoch. */
  created: number;
  /** A last chunk tells it, and all others tell none. */
  includeUsage: boolean;
};

export const done: Data = { data: "[DONE]" };

type ChunkObject = "chat.completion.chunk" | "text_completion";

function chunk(object: ChunkObject, form: ChunkForm, maker: Maker, fields: object): Data {
  const { id, created, includeUsage } = form;
  const { model, modelDigest } = maker;
  const frame = { id, object, created, model, system_fingerprint: fingerprint(modelDigest) };
  return data({ ...frame, ...fields, ...(includeUsage && !("usage" in fields) ? none : {}) });
}

const none = { usage: null };

function data(value: object): Data {
  return { data: JSON.stringify(value) };
}

/** The usage where it was asked for, and that no more comes. */
export function chunksEnd(
  object: ChunkObject,
  form: ChunkForm,
  maker: Maker,
  usage: Usage,
): Data[] {
  if (!form.includeUsage) return [done];
  return [chunk(object, form, maker, { choices: [], usage: completionUsage(usage) }), done];
}

/** The role comes first and by itself, and so does at the end why it ended. */
export function chatChunks(form: ChunkForm & CallWords, maker: Maker, piece: Piece): Data[] {
  const { choice: index, from, textFrom, text, logprobs, toolCalls = [], finishReason } = piece;
  const isFirst = from === 0 && textFrom === 0;
  const told = logprobs?.some(isText) === true ? chatLogprobs(logprobs) : null;
  const part = (delta: object, more: { logprobs?: object | null; finish_reason?: string } = {}) => {
    const choice = { index, delta, logprobs: null, finish_reason: null, ...more };
    return chunk("chat.completion.chunk", form, maker, { choices: [choice] });
  };
  return [
    ...(isFirst ? [part({ role: "assistant", content: "", refusal: null })] : []),
    ...(text !== "" || told !== null ? [part({ content: text }, { logprobs: told })] : []),
    ...(toolCalls.length > 0 ? [part(deltaCalls(toolCalls, form))] : []),
    ...(finishReason === undefined
      ? []
      : [part({}, { finish_reason: chatFinish(finishReason, form) })]),
  ];
}

export type CompletionForm = ChunkForm & {
  /** Choices of each prompt. */
  n: number;
  /** Whether the log probabilities that come with the tokens were asked for. */
  logprobs: boolean;
  /** Whether each token is told as TGI tells it, beside OpenAI's fields. */
  tgi: boolean;
};

export function completionChunks(
  form: CompletionForm,
  maker: Maker,
  piece: Piece,
  textSoFar: () => string,
): Data[] {
  const { text, logprobs, finishReason, textFrom } = piece;
  const index = piece.input * form.n + piece.choice;
  const finish_reason = finishReason === undefined ? null : openaiFinish(finishReason);
  const send = (choice: object, more: object = {}) =>
    chunk("text_completion", form, maker, {
      choices: [{ text: "", index, logprobs: null, finish_reason: null, ...choice }],
      ...more,
    });
  if (form.tgi) {
    return tgiEvents(piece, textSoFar, { details: true, topTokens: false, seed: null }).map(
      (event, at, all) =>
        send(
          { text: event.token.text, finish_reason: at === all.length - 1 ? finish_reason : null },
          event,
        ),
    );
  }
  const told =
    form.logprobs && logprobs?.some(isText) === true
      ? completionLogprobs(logprobs, Array.from(textSoFar().slice(0, textFrom)).length)
      : null;
  const nothing = text === "" && told === null && finish_reason === null;
  return nothing ? [] : [send({ text, logprobs: told, finish_reason })];
}

/** An event for each token of TGI's. */
export function tgiChunks(form: TgiForm, piece: Piece, textSoFar: () => string): Data[] {
  return tgiEvents(piece, textSoFar, form).map(data);
}

/** An end without a token of its own: every event has one. */
const noToken = { id: 0, text: "", logprob: 0, special: true, top: [] };

function tgiEvents(piece: Piece, textSoFar: () => string, form: TgiForm) {
  const { from, tokens: count, text, logprobs = [], finishReason } = piece;
  const bare = logprobs.length === 0 && (finishReason !== undefined || text !== "");
  const tokens = bare ? [noToken] : logprobs;
  // What is written, together: a token that holds a part of a character, or was held back, has no text yet.
  const whole = tokens.map((token) => token.text).join("") === text;
  return tokens.map((token, at) => {
    const last = at === tokens.length - 1;
    const end = last && finishReason !== undefined ? finishReason : null;
    return {
      index: from + at + 1,
      token: { ...tgiToken(token), text: whole ? token.text : last ? text : "" },
      ...(form.topTokens ? { top_tokens: token.top.map(tgiToken) } : {}),
      generated_text: end === null ? null : textSoFar(),
      details:
        end === null ? null : tgiEnd({ finish_reason: end, tokens: from + count }, form.seed),
    };
  });
}
