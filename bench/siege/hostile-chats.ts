/**
 * Requests to a model that writes which are admissible and dear, or refused only once they were read: many choices
 * with log probabilities, long prompts echoed, conversations of a thousand messages, streams that are broken off. Made
 * from a seed; nothing here sends.
 */
import type { Random } from "../../contract/random.ts";
import type { CallSource } from "./callers.ts";
import { type Call, post } from "./hostile-calls.ts";
import { HostileTexts } from "./hostile-texts.ts";

/** @param length cuts how many tokens are made */
type CallOf = (make: HostileTexts, model: string, length: (tokens: number) => number) => Call;

const patienceMs = 120_000;
const hastyMsMax = 2_000;
/** Of a choice. */
const awaitedTokensMax = 8;

const whole = (tokens: number): number => tokens;

const user = (content: string) => ({ role: "user", content });

function chat(model: string, messages: readonly object[], fields: object): Call {
  return { ...post("/v1/chat/completions", { model, messages, ...fields }), patienceMs };
}

function completion(model: string, prompt: unknown, fields: object): Call {
  return { ...post("/v1/completions", { model, prompt, ...fields }), patienceMs };
}

function turns(make: HostileTexts, count: number) {
  return Array.from({ length: count }, () => user(make.unique()));
}

function biases(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, id) => [String(id), -(id % 50)]));
}

/** Every one is answered, or refused by what read it. */
const patient: readonly CallOf[] = [
  (make, model, length) =>
    completion(model, make.labels(16, 400), { n: 8, max_tokens: length(100), logprobs: 5 }),
  (make, model, length) =>
    chat(model, [user(make.words(1_000))], {
      n: 8,
      max_tokens: length(300),
      logprobs: true,
      top_logprobs: 20,
    }),
  (make, model, length) =>
    completion(model, make.idsOf(7_000), { echo: true, logprobs: 5, max_tokens: length(1) }),
  (make, model, length) => chat(model, [user(make.words(7_000))], { max_tokens: length(500) }),
  (make, model, length) => chat(model, [user(make.text(1_000_000))], { max_tokens: length(12) }),
  (make, model, length) => completion(model, make.text(1_000_000), { max_tokens: length(12) }),
  (make, model, length) => chat(model, turns(make, 2_000), { max_tokens: length(12) }),
  (make, model, length) => chat(model, turns(make, 700), { max_tokens: length(500) }),
  (make, model, length) =>
    chat(model, [user(make.text(300))], {
      n: 8,
      max_tokens: length(200),
      logit_bias: biases(1_000),
    }),
];

const brokenOff: readonly CallOf[] = [
  (make, model, length) =>
    chat(model, [user(make.text(1_000))], { n: 8, max_tokens: length(2_000), stream: true }),
  (make, model, length) =>
    completion(model, make.idsOf(6_000), { max_tokens: length(1_000), stream: true }),
];

export class HostileChats implements CallSource {
  readonly #random: Random;
  readonly #make: HostileTexts;
  readonly #model: string;

  constructor(random: Random, model: string) {
    this.#random = random;
    this.#make = new HostileTexts(random);
    this.#model = model;
  }

  /** One of each kind in turn that its caller waits for: so few tokens are made that it is answered in time. */
  awaited(at: number): Call {
    const callOf = patient[at % patient.length] ?? this.#make.pick(patient);
    return callOf(this.#make, this.#model, (tokens) => Math.min(tokens, awaitedTokensMax));
  }

  next(): Call {
    const ofKind = this.#make.pick([...patient, ...brokenOff]);
    const call = ofKind(this.#make, this.#model, whole);
    if (!brokenOff.includes(ofKind)) return call;
    return { ...call, patienceMs: 50 + Math.floor(this.#random() * hastyMsMax) };
  }
}
