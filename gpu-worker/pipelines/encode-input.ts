/**
 * The inputs of a request, texts or ids, to the sequences the model reads: one input each, or two side by side. Checks
 * their lengths and ids.
 */
import { CodedError } from "#contract/errors.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { groupTexts } from "./text-groups.ts";

export type InputRules = {
  truncate: boolean;
  /** The input is never truncated, so that a refusal does not advise it. */
  neverCut?: true;
  /** The end that is cut off. */
  truncationDirection: "left" | "right";
  /** Put before each text. */
  prompt: string;
};

export type NamedInput = {
  input: string | readonly number[];
  /** As it stands in the request: `inputs[3]`. */
  name: string;
};

/** An input's own tokens, without special ones. */
export type InputTokens = {
  name: string;
  ids: readonly number[];
  /** False: the input has more. */
  complete: boolean;
};

/** A row but for the outputs that are wanted: with special tokens. */
export type EncodedInput = {
  ids: readonly number[];
  /** Absent: all 0. */
  typeIds?: readonly number[];
  truncated: boolean;
};

/** A refused input is counted up to this many times the model's length; past it the message says "more than". */
const countedLengths = 32;

/** What of a model decides how inputs are read. */
export type InputModel = Pick<EncoderModel, "id" | "tokenizer" | "limits" | "sentence">;

export class InputEncoder {
  readonly #model: InputModel;
  readonly #rules: InputRules;
  readonly #signal: AbortSignal;

  constructor(model: InputModel, rules: InputRules, signal: AbortSignal) {
    this.#model = model;
    this.#rules = rules;
    this.#signal = signal;
  }

  /** The fewest tokens of an input that is read by itself. */
  get tokensMin(): number {
    return Math.max(1, this.#model.tokenizer.specialTokens.single);
  }

  /** In order. @throws CodedError invalid_value; the signal's reason */
  async *tokens(inputs: Iterable<NamedInput>): AsyncGenerator<InputTokens> {
    const charactersOf = ({ input }: NamedInput) => (typeof input === "string" ? input.length : 0);
    for (const group of groupTexts(inputs, charactersOf)) yield* await this.#tokensOf(group);
  }

  async #tokensOf(inputs: readonly NamedInput[]): Promise<InputTokens[]> {
    const { tokenizer, limits } = this.#model;
    const { truncate, truncationDirection, prompt } = this.#rules;
    const texts = inputs.flatMap(({ input }) => (typeof input === "string" ? prompt + input : []));
    const encodings = await tokenizer.encode(texts, {
      tokensMax: truncate ? limits.maxTokens : limits.maxTokens * countedLengths,
      from: truncate && truncationDirection === "left" ? "end" : "start",
      signal: this.#signal,
    });
    const next = encodings.values();
    return inputs.map(({ input, name }) => {
      if (typeof input !== "string") return this.#checkIds(input, name);
      const { ids, complete } = next.next().value ?? { ids: [], complete: true };
      return { name, ids, complete };
    });
  }

  /**
   * First tokens of each text, special ones included, that the model leaves out of its vectors: those of the prompt,
   * encoded by itself as sentence-transformers counts them.
   */
  async unpooledTokens(): Promise<number> {
    const { tokenizer, limits, sentence } = this.#model;
    const { prompt } = this.#rules;
    if (prompt === "" || sentence?.includePrompt !== false) return 0;
    const tokensMax = limits.maxTokens;
    const [encoded] = await tokenizer.encode([prompt], { tokensMax, signal: this.#signal });
    const count = encoded?.ids.length ?? 0;
    if (count + tokenizer.specialTokens.single < limits.maxTokens) {
      return (tokenizer.wrap([0]).starts[0] ?? 0) + count;
    }
    throw new CodedError(
      "context_length_exceeded",
      `The prompt ${JSON.stringify(prompt)} leaves no room for a text ` +
        `in the ${limits.maxTokens} tokens of ${this.#model.id}`,
      { param: "prompt_name" },
    );
  }

  #checkIds(input: readonly number[], name: string): InputTokens {
    const { limits, id, tokenizer } = this.#model;
    if (this.#rules.prompt !== "") {
      throw new CodedError(
        "invalid_value",
        `${this.#model.id} puts a prompt before each input, which needs texts, but ${name} holds token ids. ` +
          "Send texts, or the prompt_name of a prompt that is empty.",
        { param: "prompt_name" },
      );
    }
    const foreign = input.find((token) => token >= limits.vocabularySize);
    if (foreign === undefined) return { name, ids: tokenizer.unwrap(input), complete: true };
    throw new CodedError(
      "invalid_value",
      `${name} holds the token id ${foreign}, but the ids of ${id} end at ${limits.vocabularySize - 1}. ` +
        "Token ids must be of the model's own vocabulary, or said to be of cl100k_base. Send texts instead.",
      { param: name },
    );
  }

  /** One input by itself. @throws CodedError context_length_exceeded */
  single({ name, ids, complete }: InputTokens): EncodedInput {
    const { tokenizer, limits, id } = this.#model;
    const length = ids.length + tokenizer.specialTokens.single;
    // A tokenizer without special tokens makes empty sequences, on which ONNX Runtime ends the process.
    if (length === 0) {
      const message = `${name} holds nothing that ${id} reads: it has no token`;
      throw new CodedError("invalid_value", message, { param: name });
    }
    if (complete && length <= limits.maxTokens) {
      return { ids: tokenizer.wrap(ids).ids, truncated: false };
    }
    if (this.#rules.truncate) {
      const kept = this.#cut(ids, limits.maxTokens - tokenizer.specialTokens.single);
      return { ids: tokenizer.wrap(kept).ids, truncated: true };
    }
    throw new CodedError(
      "context_length_exceeded",
      `${name} has ${complete ? "" : "more than "}${length} tokens, but ${id} reads at most ${limits.maxTokens}. ` +
        `Shorten or split it${this.#orHaveItCut}.`,
      { param: name },
    );
  }

  /**
   * Two inputs that the model reads side by side.
   * @param cut the one that is shortened where that is wanted; the other is always kept whole
   * @throws CodedError context_length_exceeded
   */
  pair(first: InputTokens, second: InputTokens, cut: "first" | "second"): EncodedInput {
    const { tokenizer, limits } = this.#model;
    const room = limits.maxTokens - tokenizer.specialTokens.pair;
    const [whole, part] = cut === "first" ? [second, first] : [first, second];
    const partRoom = room - whole.ids.length;
    if (!whole.complete || partRoom < 1) throw this.#noRoomBeside(whole);
    const truncated = !part.complete || part.ids.length > partRoom;
    if (truncated && !this.#rules.truncate) throw this.#pairTooLong(whole, part);
    const kept = truncated ? this.#cut(part.ids, partRoom) : part.ids;
    const { ids, typeIds } =
      cut === "first" ? tokenizer.wrap(kept, second.ids) : tokenizer.wrap(first.ids, kept);
    return { ids, typeIds, truncated };
  }

  /**
   * Two texts side by side, of which the longer is cut first, as `longest_first` of Hugging Face's tokenizers.
   * @throws CodedError context_length_exceeded
   */
  both(first: InputTokens, second: InputTokens): EncodedInput {
    const { tokenizer, limits } = this.#model;
    const room = limits.maxTokens - tokenizer.specialTokens.pair;
    const [a, b] = [first.ids.length, second.ids.length];
    const whole = first.complete && second.complete && a + b <= room;
    if (!whole && !this.#rules.truncate) {
      throw a > b ? this.#pairTooLong(second, first) : this.#pairTooLong(first, second);
    }
    const [keptA, keptB] = whole ? [a, b] : longestFirst(a, b, room);
    const { ids, typeIds } = tokenizer.wrap(
      this.#cut(first.ids, keptA),
      this.#cut(second.ids, keptB),
    );
    return { ids, typeIds, truncated: !whole };
  }

  get #orHaveItCut(): string {
    return this.#rules.neverCut === true ? "" : ", or set truncate to true to have it cut";
  }

  #cut(ids: readonly number[], room: number): readonly number[] {
    const length = Math.max(0, room);
    if (this.#rules.truncationDirection === "right") return ids.slice(0, length);
    return ids.slice(Math.max(0, ids.length - length));
  }

  #pairTooLong(whole: InputTokens, part: InputTokens): CodedError {
    const { tokenizer, limits, id } = this.#model;
    const length = whole.ids.length + part.ids.length + tokenizer.specialTokens.pair;
    return new CodedError(
      "context_length_exceeded",
      `${part.name} and ${whole.name} have ${part.complete ? "" : "more than "}${length} tokens together, but ` +
        `${id} reads at most ${limits.maxTokens}. Shorten or split ${part.name}${this.#orHaveItCut}.`,
      { param: part.name },
    );
  }

  #noRoomBeside({ name, ids, complete }: InputTokens): CodedError {
    const { limits, id } = this.#model;
    return new CodedError(
      "context_length_exceeded",
      `${name} has ${complete ? "" : "more than "}${ids.length} tokens and leaves no room for a text beside it, for ` +
        `${id} reads at most ${limits.maxTokens} in all. Shorten it.`,
      { param: name },
    );
  }
}

/** What is kept of two lengths: all of the shorter if it takes at most half, then as much of the longer as fits. */
function longestFirst(first: number, second: number, room: number): [number, number] {
  const shorter = Math.min(first, second);
  const longer = Math.max(shorter, room - shorter);
  const half = Math.floor(room / 2);
  const [less, more] = shorter + longer > room ? [half, room - half] : [shorter, longer];
  return first > second ? [more, less] : [less, more];
}
