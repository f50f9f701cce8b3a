/** What is told of a token beside its text: its log probability, and those of the likeliest at its place. */
import type { TokenLogprob } from "#contract/tasks/generation.ts";
import type { GeneratedToken, TokenScore } from "../model/generation.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { jsonBytes } from "./result-size.ts";

/** For a token that the model holds impossible, whose logarithm JSON cannot hold; as OpenAI's. */
const leastLogprob = -9_999;

function described(id: number, { token }: Pick<Tokenizer, "token">) {
  const found = token(id);
  // The model may have rows that stand for no token.
  if (found === null) return { id, text: "", bytes: null };
  const { text, bytes, special } = found;
  return {
    id,
    text,
    ...(bytes !== null && { bytes: [...bytes] }),
    ...(special && { special }),
  };
}

/** @param tokenizer of the model @param generated null: the first of a prompt, which nothing comes before */
export function tokenLogprob(
  id: number,
  generated: GeneratedToken | null,
  tokenizer: Pick<Tokenizer, "token">,
): TokenLogprob {
  const logprob = generated?.logprob ?? null;
  return {
    ...described(id, tokenizer),
    logprob: logprob === null ? null : Math.max(leastLogprob, logprob),
    top: (generated?.topLogprobs ?? []).map((score) => alternative(score, tokenizer)),
  };
}

function alternative({ token, logprob }: TokenScore, tokenizer: Pick<Tokenizer, "token">) {
  const { special: _, ...rest } = { special: false, ...described(token, tokenizer) };
  return { ...rest, logprob: Math.max(leastLogprob, logprob) };
}

/** Of `{"id":49151,"text":,"logprob":-12.345678901234567}` and a comma. */
const fieldsBytes = 56;
/** Of `,"special":true,"top":[]`. */
const listBytes = 24;

/** Bytes of one as JSON, about. */
export function logprobBytes({ text, bytes, top }: TokenLogprob): number {
  const alternatives = top.reduce((sum, each) => sum + fieldsBytes + jsonBytes(each.text), 0);
  return fieldsBytes + listBytes + jsonBytes(text) + 4 * (bytes?.length ?? 0) + alternatives;
}

/** Of a token with so many alternatives, at least. */
export function logprobBytesMin(alternatives: number): number {
  return fieldsBytes + listBytes + alternatives * fieldsBytes;
}
