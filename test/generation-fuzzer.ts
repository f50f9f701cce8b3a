/** Bodies that nobody means, for every address that has a model write: by a seed, so that each can be had again. */

import { randomFrom } from "./random-from.ts";

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
  [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
  [
    { type: "function", function: { name: "f" } },
    { type: "function", function: { name: "f" } },
  ],
  [{ id: "a", type: "function", function: { name: "f", arguments: "\ud800{" } }],
  { type: "function", function: { name: "f" } },
  { name: "f", arguments: "{" },
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
  ..."input instructions previous_response_id background include text truncation".split(" "),
  ..."parallel_tool_calls function_call structure".split(" "),
  ..."stream_options best_of suffix echo stream user store metadata webhook options do_sample x".split(
    " ",
  ),
];
const ofParameters = [
  ..."max_new_tokens temperature top_k top_p stop stop_sequences seed do_sample details".split(" "),
  ..."return_full_text repetition_penalty truncate best_of top_n_tokens grammar x".split(" "),
];
const ofMessages = ["name", "tool_calls", "tool_call_id", "function_call", "x"];
/** The right ones oftener. */
const rightRoles = ["system", "developer", "user", "assistant", "tool"];
const roles: readonly unknown[] = [
  ...rightRoles,
  ...rightRoles,
  ...rightRoles,
  "function",
  "king",
  "",
  null,
  5,
  {},
];

export class GenerationFuzzer {
  readonly #below: (count: number) => number;
  readonly #model: string;
  readonly #longText: string;

  /** @param longest of a text, in UTF-16 units */
  constructor(seed: number, model: string, longest: number) {
    this.#longText = "é😀a\u0000\ud800".repeat(longest / 5);
    this.#below = randomFrom(seed);
    this.#model = model;
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
    return this.#below(40) === 0 ? this.#longText : "a word ".repeat(this.#below(9));
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
    const text = this.text();
    return this.one([text, text, text, text, null, this.some(3, part), this.one(odd)]);
  }

  message(): unknown {
    const message = { role: this.one(roles), content: this.content() };
    if (this.#below(20) === 0) return this.one(odd);
    return this.#below(6) > 0 ? message : { ...message, [this.one(ofMessages)]: this.one(odd) };
  }

  /** Of a response's input. */
  item(): unknown {
    const { role, content } = Object.assign({ role: "user", content: "" }, this.message());
    const call_id = this.one<unknown>(["call_1", "call_1", ...odd]);
    return this.one<unknown>([
      { role, content },
      { role, content },
      { role, content },
      { type: "message", role, content: [{ type: "input_text", text: this.text() }] },
      { type: "function_call", call_id, name: "f", arguments: content },
      { type: "function_call_output", call_id, output: content },
      { type: "item_reference", id: call_id },
      { type: "reasoning", summary: content },
      this.one(odd),
    ]);
  }

  changes(names: readonly string[]): Record<string, unknown> {
    const most = this.#below(2) * 3;
    return Object.fromEntries(this.some(most, () => [this.one(names), this.one(odd)]));
  }

  call(): { path: string; body: unknown } {
    const messages = this.some(5, () => this.message());
    const prompt = this.one([this.text(), this.one(odd), this.some(3, () => this.text())]);
    const parameters = this.changes(ofParameters);
    const model = this.#model;
    const [path, body] = this.one<[string, object]>([
      ["/v1/chat/completions", { model, messages }],
      ["/v1/completions", { model, prompt }],
      ["/v1/responses", { model, input: this.text() }],
      ["/v1/responses", { model, input: this.some(5, () => this.item()) }],
      [`/hf/models/${model}`, { inputs: this.text(), parameters }],
      [`/hf/models/${model}/pipeline/text-generation`, { inputs: prompt, parameters }],
      [`/hf/models/${model}/v1/chat/completions`, { messages }],
      [`/hf/models/${model}/v1/completions`, { prompt }],
      ["/v1/tasks/chat-completion", { model, inputs: [{ messages }], parameters }],
      ["/v1/tasks/text-generation", { model, inputs: prompt, parameters }],
    ]);
    const whole = { ...body, ...this.changes(fields) };
    return { path, body: this.#below(25) === 0 ? this.one(odd) : whole };
  }
}
