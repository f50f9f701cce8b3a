/** Answers of a worker that writes: what each choice of each input is, made up without a model. */
import { CodedError } from "../../contract/errors.ts";
import type { Usage } from "../../contract/result-document.ts";
import type { Choice, Generation, TokenLogprob } from "../../contract/tasks/generation.ts";
import { type Answer, digest } from "./stand-in-worker.ts";

/** "é" in two tokens: each has a byte of it. */
export const halves: TokenLogprob[] = [0xc3, 0xa9].map((byte, at) => ({
  id: 200 + at,
  text: "\ufffd",
  bytes: [byte],
  logprob: -0.5,
  top: [],
}));

export function token(text: string, id = 7, logprob = -0.25): TokenLogprob {
  const other = { id: id + 1, text: `${text}?`, logprob: -2 };
  return { id, text, logprob, top: [{ id, text, logprob }, other] };
}

export const endToken: TokenLogprob = {
  id: 2,
  text: "<|im_end|>",
  bytes: null,
  logprob: -0.125,
  special: true,
  top: [],
};

export const paris: Choice = {
  text: "In Paris.",
  finish_reason: "end_token",
  tokens: 4,
  logprobs: null,
};

export const told: Choice = {
  ...paris,
  logprobs: [token("In", 11), token(" Paris", 12), token(".", 13), endToken],
};

/** Echoed, and not gone on with. */
export const promptAlone: Choice = {
  text: "Where?",
  finish_reason: "length",
  tokens: 0,
  logprobs: [{ ...token("Where?", 9), logprob: null, top: [] }],
};

/** @param choices of every input, in order */
export function writing(choices: readonly Choice[], usage: Usage = used): Answer {
  return ({ task, model, inputs }) => {
    if (!Array.isArray(inputs)) throw new CodedError("internal_error", "inputs by reference");
    const outputs = inputs.map((): Generation => ({ choices: [...choices] }));
    return { task, model, modelDigest: digest, outputs, usage, warnings: [] };
  };
}

export const used: Usage = { promptTokens: 31, completionTokens: 4, cachedTokens: 16 };

export const usageShown = {
  prompt_tokens: 31,
  completion_tokens: 4,
  total_tokens: 35,
  prompt_tokens_details: { cached_tokens: 16 },
};
