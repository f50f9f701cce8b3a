/**
 * One renderer for results in memory and results that stream by: for every surface and random results, both give the
 * JSON of the whole body, formed here in the plain way, however the document is cut into chunks.
 */
import { describe, expect, it } from "vitest";
import {
  type JobResult,
  openResultDocument,
  resultDocument,
  type Usage,
} from "../../../contract/result-document.ts";
import type { Task } from "../../../contract/tasks.ts";
import { type Choice, FinishReason, Generation } from "../../../contract/tasks/generation.ts";
import type { Rendering } from "../../../edge/answers/rendering.ts";
import { ListItems } from "../../../edge/answers/list-items.ts";
import { showLines } from "../../../edge/answers/read-result.ts";
import { render } from "../../../edge/answers/render.ts";
import { resultFormOf } from "../../../edge/answers/surfaces.ts";
import { huggingFaceTasks, taskNames } from "#contract/task-table.ts";

/** Numerical Recipes' linear congruential generator. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const letters = ["a", "é", "€", "😀", '"', "\\", "\n", "\u2028", "[", "]", "{", "}", ",", "\ud800"];

class Maker {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  text(): string {
    return Array.from({ length: this.below(40) }, () => letters[this.below(letters.length)]).join(
      "",
    );
  }

  score(): number {
    return [0, 1, -0.25, this.#random(), this.#random() * 1e-9][this.below(5)] ?? 0;
  }

  list<T>(countMax: number, make: () => T): T[] {
    return Array.from({ length: this.below(countMax + 1) }, make);
  }

  label() {
    return { label: this.text(), score: this.score() };
  }

  entity() {
    const place = { word: this.text(), start: this.below(9), end: this.below(99) };
    return { ...place, entity_group: this.text(), entity: this.text(), score: this.score() };
  }

  filling() {
    const { label: sequence, score } = this.label();
    return { sequence, score, token: this.below(9), token_str: this.text() };
  }

  answer() {
    return { answer: this.text(), score: this.score(), start: this.below(9), end: this.below(99) };
  }

  vector(): string {
    const values = new Float32Array(this.list(5, () => this.score()));
    return btoa(String.fromCharCode(...new Uint8Array(values.buffer)));
  }

  ranked() {
    const ranks = { index: this.below(9), score: this.score() };
    return this.below(2) === 0 ? ranks : { ...ranks, text: this.text() };
  }

  choice(): Choice {
    const tokens = this.below(9);
    const finish_reason = FinishReason.options[this.below(3)] ?? "length";
    return { text: this.text(), finish_reason, tokens, logprobs: null };
  }

  output(task: Task): unknown {
    switch (task) {
      case "chat-completion":
      case "text-generation":
        return { choices: [this.choice(), this.choice()] };
      case "noop":
        return this.text();
      case "feature-extraction":
        return this.vector();
      case "sentence-similarity":
        return this.list(5, () => this.score());
      case "token-classification":
        return this.list(3, () => this.entity());
      case "relation-extraction":
        return this.below(2) === 0
          ? this.list(3, () => this.label())
          : this.list(3, () => ({ ...this.label(), head: this.entity(), tail: this.entity() }));
      case "question-answering":
        return this.below(2) === 0 ? this.answer() : this.list(3, () => this.answer());
      case "fill-mask":
        return this.list(3, () => this.filling());
      case "rerank":
        return this.list(5, () => this.ranked());
      case "tokenize":
        return {
          tokens: this.list(4, () => this.below(9)),
          count: this.below(9),
          offsets: [[0, 5]],
        };
      case "detokenize":
        return { text: this.text() };
      default:
        return this.list(4, () => this.label());
    }
  }

  result(task: Task, count: number): JobResult {
    return {
      task,
      model: this.text(),
      modelDigest: "digest",
      outputs: Array.from({ length: count }, () => this.output(task)),
      usage: {
        promptTokens: this.below(999),
        ...(this.below(2) === 0 ? {} : { completionTokens: this.below(99), cachedTokens: 5 }),
        ...(this.below(2) === 0 ? {} : { truncatedInputs: 1 }),
      },
      warnings: this.list(2, () => this.text()),
    };
  }
}

function floats(base64: unknown): number[] {
  const bytes = Uint8Array.from(atob(String(base64)), (unit) => unit.charCodeAt(0));
  return [...new Float32Array(bytes.buffer)];
}

/** OpenAI's usage of what was written. */
function writtenUsage({ promptTokens, completionTokens = 0, cachedTokens = 0 }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function choicesOf(outputs: readonly unknown[]): Choice[] {
  return outputs.flatMap((output) => Generation.parse(output).choices);
}

const stops = {
  length: "length",
  end_token: "stop",
  stop_sequence: "stop",
  tool_calls: "tool_calls",
};

type Ranked = { index: number; score: number; text?: string };

/** The whole body as a value: what the API's pages promise, told without a table. */
function bodyOf(rendering: Rendering, { task, outputs, model, usage: used }: JobResult): unknown {
  const usage = {
    ...(used.completionTokens === undefined
      ? { prompt_tokens: used.promptTokens, total_tokens: used.promptTokens }
      : writtenUsage(used)),
    ...(used.truncatedInputs === undefined ? {} : { truncated_inputs: used.truncatedInputs }),
  };
  const [first] = outputs;
  const answers = task === "feature-extraction" ? outputs.map(floats) : outputs;
  switch (rendering.route) {
    case "openai.embeddings":
      return {
        object: "list",
        data: outputs.map((output, index) => ({
          object: "embedding",
          index,
          embedding: rendering.encodingFormat === "base64" ? output : floats(output),
        })),
        model,
        usage,
      };
    case "openai.chat":
    case "openai.completions": {
      const { id, created } = rendering;
      const chat = rendering.route === "openai.chat";
      const object = chat ? "chat.completion" : "text_completion";
      const choices = choicesOf(outputs).map(({ text, finish_reason: end }, index) =>
        chat
          ? {
              index,
              message: { role: "assistant", content: text, refusal: null },
              logprobs: null,
              finish_reason: stops[end],
            }
          : { text, index, logprobs: null, finish_reason: stops[end] },
      );
      const frame = { id, object, created, model, system_fingerprint: "fp_digest" };
      return { ...frame, choices, usage: writtenUsage(used) };
    }
    case "hugging-face.text-generation":
      return choicesOf(outputs).map(({ text }) => ({ generated_text: text }));
    case "tasks":
      return { object: "list", data: answers, model, usage };
    case "cohere.rerank":
      return {
        id: rendering.id,
        object: "list",
        model,
        results: (first as Ranked[])
          .slice(0, rendering.topN ?? undefined)
          .map(({ index, score, text }) => ({
            index,
            relevance_score: score,
            ...(text === undefined ? {} : { document: { text } }),
          })),
        usage,
        meta: {
          api_version: { version: "2" },
          tokens: { input_tokens: used.promptTokens, output_tokens: 0 },
        },
      };
    case "tei.rerank":
      return (first as Ranked[]).slice(0, rendering.topN ?? undefined);
    case "tokens":
      return rendering.single ? first : { object: "list", data: outputs, model };
    case "hugging-face": {
      if (!rendering.single || task === "feature-extraction") return answers;
      const pairs = (first as object[])[0];
      const nested =
        task === "text-classification" ||
        task === "few-shot-classification" ||
        (task === "relation-extraction" && pairs !== undefined && !("head" in pairs));
      return nested ? [first] : first;
    }
  }
}

type Surface = { task: Task; rendering: Rendering; single: boolean };

const surfaces: Surface[] = [
  ...taskNames.map((task) => ({ task, rendering: { route: "tasks" } as const, single: false })),
  ...huggingFaceTasks.flatMap((task) =>
    [true, false].map((single) => ({
      task,
      rendering: { route: "hugging-face", task, single } as const,
      single,
    })),
  ),
  ...(["float", "base64"] as const).map((encodingFormat) => ({
    task: "feature-extraction" as const,
    rendering: { route: "openai.embeddings", encodingFormat, single: false } as const,
    single: false,
  })),
  ...[null, 1, 3].map((topN) => ({
    task: "rerank" as const,
    rendering: { route: "cohere.rerank", topN, id: 'req_"1"' } as const,
    single: true,
  })),
  ...[null, 1, 3].map((topN) => ({
    task: "rerank" as const,
    rendering: { route: "tei.rerank", topN } as const,
    single: true,
  })),
  {
    task: "chat-completion",
    rendering: {
      route: "openai.chat",
      id: 'chatcmpl-"1"',
      created: 5,
      maxTokensField: null,
      includeUsage: false,
    },
    single: true,
  },
  {
    task: "text-generation",
    rendering: {
      route: "openai.completions",
      id: "cmpl-1",
      created: 5,
      single: false,
      n: 2,
      includeUsage: false,
      logprobs: false,
      tgi: false,
    },
    single: false,
  },
  {
    task: "text-generation",
    rendering: {
      route: "hugging-face.text-generation",
      details: false,
      topTokens: false,
      seed: null,
    },
    single: true,
  },
  ...(["tokenize", "detokenize"] as const).flatMap((task) =>
    [true, false].map((single) => ({
      task,
      rendering: { route: "tokens", field: "input", single } as const,
      single,
    })),
  ),
];

async function* inChunks(text: string, size: () => number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    const end = at + size();
    yield bytes.slice(at, end);
    at = end;
  }
}

describe("a result", () => {
  it.each(surfaces.map((surface) => [JSON.stringify(surface.rendering), surface] as const))(
    "is shown alike in memory and as it streams: %s",
    async (_, { task, rendering, single }) => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const maker = new Maker(seed);
        const result = maker.result(task, single ? 1 : 1 + maker.below(5));
        const whole = JSON.stringify(bodyOf(rendering, result));
        expect(render(rendering, resultDocument(result)).body, `seed ${seed}`).toBe(whole);
        const { head, lines } = openResultDocument(resultDocument(result));
        const chunks = inChunks(lines, () => 1 + maker.below(seed % 2 === 0 ? 5 : 200));
        const decoder = new TextDecoder();
        let streamed = "";
        for await (const bytes of showLines(chunks, resultFormOf(rendering, head))) {
          streamed += decoder.decode(bytes, { stream: true });
        }
        expect(streamed, `seed ${seed}`).toBe(whole);
      }
    },
  );
});

describe("the items of a list", () => {
  it("are those that JSON.parse finds, however the text is cut", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const maker = new Maker(seed);
      const list = maker.list(6, () => [maker.ranked(), maker.text(), [[], {}], -1.5, null]);
      const text = JSON.stringify(list, null, seed % 3);
      const items = new ListItems();
      const found: string[] = [];
      for (let at = 0; at < text.length;) {
        const end = at + 1 + maker.below(30);
        found.push(...items.push(text.slice(at, end)));
        at = end;
      }
      expect(found.map((item) => JSON.parse(item))).toEqual(list);
    }
  });
});
