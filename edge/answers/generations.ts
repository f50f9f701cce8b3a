/** What a model wrote, in the words of OpenAI and of TGI. */
import type { Usage } from "#contract/result-document.ts";
import {
  type Choice,
  type FinishReason,
  Generation,
  type TokenAlternative,
  type TokenLogprob,
} from "#contract/tasks/generation.ts";
import type { ToolCall, ToolCallPiece } from "#contract/tasks/tool-call.ts";

/** As every tokenizer's bytes are counted: UTF-8. */
const encoder = new TextEncoder();

/** The choices of one input as the JSON of objects with commas between them. @param input its index */
export function showChoices(
  piece: unknown,
  input: number,
  show: (choice: Choice, index: number) => object,
): string {
  const { choices } = Generation.parse(piece);
  return choices
    .map((choice, at) => JSON.stringify(show(choice, input * choices.length + at)))
    .join(",");
}

export function openaiFinish(reason: FinishReason): "stop" | "length" | "tool_calls" {
  return reason === "length" || reason === "tool_calls" ? reason : "stop";
}

/** Whether calls are told in OpenAI's older words. */
export type CallWords = { functionCalls?: true };

export function chatChoice(choice: Choice, index: number, words: CallWords) {
  const { text, finish_reason: reason, logprobs, tool_calls: calls = [] } = choice;
  const content = text === "" && calls.length > 0 ? null : text;
  return {
    index,
    message: { role: "assistant", content, refusal: null, ...messageCalls(calls, words) },
    logprobs: logprobs === null ? null : chatLogprobs(logprobs),
    finish_reason: chatFinish(reason, words),
  };
}

function messageCalls(calls: readonly ToolCall[], { functionCalls }: CallWords): object {
  const [first] = calls;
  if (first === undefined) return {};
  if (functionCalls) return { function_call: { name: first.name, arguments: first.arguments } };
  const tool_calls = calls.map(({ id, name, arguments: given }) => ({
    id,
    type: "function",
    function: { name, arguments: given },
  }));
  return { tool_calls };
}

export function chatFinish(reason: FinishReason, { functionCalls }: CallWords): string {
  const finish = openaiFinish(reason);
  return finish === "tool_calls" && functionCalls ? "function_call" : finish;
}

/** What calls have grown by, as the delta of a chunk. */
export function deltaCalls(pieces: readonly ToolCallPiece[], { functionCalls }: CallWords): object {
  if (functionCalls) {
    const own = pieces.filter(({ index }) => index === 0);
    const grown = own.map((piece) => piece.arguments).join("");
    const name = own.find((piece) => piece.name !== undefined)?.name;
    return { function_call: { ...(name !== undefined && { name }), arguments: grown } };
  }
  const tool_calls = pieces.map(({ index, id, name, arguments: grown }) => ({
    index,
    ...(id !== undefined && { id, type: "function" }),
    function: { ...(name !== undefined && { name }), arguments: grown },
  }));
  return { tool_calls };
}

export function chatLogprobs(logprobs: readonly TokenLogprob[]) {
  return {
    content: logprobs.filter(isText).map((each) => ({
      ...chatToken(each),
      top_logprobs: each.top.map(chatToken),
    })),
    refusal: null,
  };
}

/** Special tokens are no text, and OpenAI tells of what stands in the text alone. */
export function isText({ special }: TokenLogprob): boolean {
  return special !== true;
}

/** OpenAI's number for a token so unlikely that it has none; here of one that nothing came before. */
const noLogprob = -9_999;

function chatToken({ text, bytes, logprob }: TokenAlternative | TokenLogprob) {
  const own = bytes === undefined ? [...encoder.encode(text)] : bytes;
  return { token: text, logprob: logprob ?? noLogprob, bytes: own };
}

export function completionChoice({ text, finish_reason: reason, logprobs }: Choice, index: number) {
  return {
    text,
    index,
    logprobs: logprobs === null ? null : completionLogprobs(logprobs),
    finish_reason: openaiFinish(reason),
  };
}

/** @param offset code points of the choice before the first of the tokens */
export function completionLogprobs(all: readonly TokenLogprob[], offset = 0) {
  const logprobs = all.filter(isText);
  let at = offset;
  const offsets = logprobs.map((token) => {
    const begins = at;
    at += codePointsBegun(token);
    return begins;
  });
  return {
    text_offset: offsets,
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    tokens: logprobs.map(tokenName),
    top_logprobs: logprobs.map(likeliest),
  };
}

/** A character that several tokens share counts where it begins. */
export function codePointsBegun({ text, bytes }: Pick<TokenLogprob, "text" | "bytes">): number {
  if (bytes === null) return 0;
  return (bytes ?? [...encoder.encode(text)]).filter((byte) => (byte & 0xc0) !== 0x80).length;
}

/** With the token itself, however unlikely it was. Null: the first of a prompt, which nothing came before. */
function likeliest(token: TokenLogprob): Record<string, number> | null {
  if (token.logprob === null) return null;
  const named = token.top.map((each): [string, number] => [tokenName(each), each.logprob]);
  return Object.fromEntries([...named, [tokenName(token), token.logprob]]);
}

/** OpenAI's way to write a part of a character, so that no two parts have the same name. */
function tokenName({ text, bytes }: Pick<TokenLogprob, "text" | "bytes">): string {
  if (bytes === undefined || bytes === null) return text;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
}

/** OpenAI's usage of what was written. */
export function completionUsage({ promptTokens, completionTokens = 0, cachedTokens = 0 }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

/** Names the model's bytes and the form they are computed in. */
export function fingerprint(modelDigest: string): string {
  return `fp_${modelDigest.slice(0, 12)}`;
}

const tgiFinish = {
  length: "length",
  end_token: "eos_token",
  stop_sequence: "stop_sequence",
  tool_calls: "eos_token",
} as const satisfies Record<FinishReason, string>;

export type TgiForm = { details: boolean; topTokens: boolean; seed: number | null };

/** TGI's answer to one text. */
export function generatedText(choice: Choice, { details, topTokens, seed }: TgiForm) {
  if (!details) return { generated_text: choice.text };
  // With return_full_text the prompt's own come first, and are not told.
  const { text, tokens: count } = choice;
  const made = choice.logprobs?.slice(choice.logprobs.length - count) ?? [];
  return {
    generated_text: text,
    details: {
      ...tgiEnd(choice, seed),
      prefill: [],
      tokens: made.map(tgiToken),
      ...(topTokens ? { top_tokens: made.map(({ top }) => top.map(tgiToken)) } : {}),
    },
  };
}

export function tgiEnd(
  { finish_reason: reason, tokens: count }: Pick<Choice, "finish_reason" | "tokens">,
  seed: number | null,
) {
  return { finish_reason: tgiFinish[reason], generated_tokens: count, seed };
}

export function tgiToken(token: TokenAlternative | TokenLogprob) {
  const special = "special" in token && token.special === true;
  return { id: token.id, text: token.text, logprob: token.logprob, special };
}
