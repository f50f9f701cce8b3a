/** Bodies that nobody means, at every address that has a model write: answered or refused, and never by a failure. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { call } from "../jobs/caller-and-worker.ts";
import { announce, decoder, install } from "../stand-in-worker.ts";
import { told, writing } from "../written.ts";

const count = 500;
const batch = 50;

/** Numerical Recipes' linear congruential generator. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const huge = "é😀a\u0000\ud800".repeat(200_000);
const odd: readonly unknown[] = [
  null,
  true,
  "",
  "a",
  "\ud800\u0000\u202e",
  -1,
  0,
  1,
  0.5,
  8,
  9,
  2_048,
  2 ** 31,
  2 ** 53,
  1e308,
  [],
  [null],
  [""],
  ["a", "b"],
  [0],
  [49_151],
  [49_152, -1, 2 ** 40],
  [[5], [6]],
  {},
  { type: "text", text: "a" },
  { __proto__: null, constructor: 1 },
  { 5: 1, "-1": 2, a: 1_000 },
];

const fields = [
  ..."model messages prompt inputs parameters n stop seed logprobs top_logprobs max_tokens".split(
    " ",
  ),
  ..."max_completion_tokens temperature top_p top_k min_p repetition_penalty presence_penalty".split(
    " ",
  ),
  ..."frequency_penalty logit_bias tools tool_choice functions response_format modalities audio".split(
    " ",
  ),
  ..."stream_options best_of suffix echo stream user store metadata webhook options do_sample x".split(
    " ",
  ),
];
const ofParameters = [
  ..."max_new_tokens temperature top_k top_p stop stop_sequences seed do_sample details".split(" "),
  ..."return_full_text repetition_penalty truncate best_of top_n_tokens grammar x".split(" "),
];
const roles = [
  "system",
  "developer",
  "user",
  "assistant",
  "tool",
  "function",
  "king",
  "",
  null,
  5,
  {},
];

class Fuzzer {
  readonly #below: (count: number) => number;

  constructor(seed: number) {
    this.#below = randomFrom(seed);
  }

  one<T>(of: readonly T[]): T {
    const chosen = of[this.#below(of.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.#below(most + 1) }, make);
  }

  text(): string {
    return this.#below(40) === 0 ? huge : "a word ".repeat(this.#below(9));
  }

  content(): unknown {
    const part = () =>
      this.one([
        { type: "text", text: this.text() },
        { type: "text" },
        { type: "image_url", image_url: { url: "x" } },
        { type: 5 },
        null,
        "a",
        { type: "text", text: null },
      ]);
    return this.one([this.text(), this.text(), null, this.some(3, part), this.one(odd)]);
  }

  message(): unknown {
    const message = { role: this.one(roles), content: this.content() };
    if (this.#below(8) === 0) return this.one(odd);
    return this.#below(3) > 0
      ? message
      : { ...message, [this.one(["name", "tool_calls", "x"])]: this.one(odd) };
  }

  changes(names: readonly string[]): Record<string, unknown> {
    return Object.fromEntries(this.some(3, () => [this.one(names), this.one(odd)]));
  }

  call(): { path: string; body: unknown } {
    const messages = this.some(5, () => this.message());
    const prompt = this.one([this.text(), this.one(odd), this.some(3, () => this.text())]);
    const parameters = this.changes(ofParameters);
    const [path, body] = this.one<[string, object]>([
      ["/v1/chat/completions", { model: decoder.id, messages }],
      ["/v1/completions", { model: decoder.id, prompt }],
      [`/hf/models/${decoder.id}`, { inputs: this.text(), parameters }],
      [`/hf/models/${decoder.id}/pipeline/text-generation`, { inputs: prompt, parameters }],
      [`/hf/models/${decoder.id}/v1/chat/completions`, { messages }],
      [`/hf/models/${decoder.id}/v1/completions`, { prompt }],
      ["/v1/tasks/chat-completion", { model: decoder.id, inputs: [{ messages }], parameters }],
      ["/v1/tasks/text-generation", { model: decoder.id, inputs: prompt, parameters }],
    ]);
    const whole = { ...body, ...this.changes(fields) };
    return { path, body: this.#below(25) === 0 ? this.one(odd) : whole };
  }
}

beforeEach(async () => {
  install(writing([told]));
  await announce([decoder]);
});
afterEach(() => vi.unstubAllGlobals());

it.each(Array.from({ length: count / batch }, (_, at) => at + 1))(
  `answers or refuses ${batch} bodies of ${count}, from seed %i`,
  async (seed) => {
    const fuzzer = new Fuzzer(seed);
    const statuses: number[] = [];
    for (let at = 0; at < batch; at += 1) {
      const { path, body } = fuzzer.call();
      const text = JSON.stringify(body);
      const response = await call(path, { body, headers: { "cache-control": "no-store" } });
      const asked = `${path} ${text.slice(0, 400)}`;
      expect(response.status, asked).toBeLessThan(500);
      const answer = await response.text();
      expect(answer.includes('"error":'), asked).toBe(response.status !== 200);
      statuses.push(response.status);
    }
    // Some of each: bodies that are all refused at their first field try nothing.
    expect(statuses).toContain(200);
    expect(statuses).toContain(400);
  },
);
