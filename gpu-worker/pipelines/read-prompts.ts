/** Prompts of a request as the model's own token ids, held to its length while they are read. */
import { CodedError } from "#contract/errors.ts";
import type { TextModel } from "../model/served-model.ts";
import { checkTokenIds } from "./check-token-ids.ts";
import { groupTexts } from "./text-groups.ts";

export type Prompt = {
  /** As it stands in the request: `inputs[3]`. */
  readonly name: string;
  readonly ids: readonly number[];
  /** Null: it came as ids. */
  readonly text: string | null;
};

export type NamedPrompt = { readonly name: string; readonly input: string | readonly number[] };

/** A refused prompt is counted up to this many times the model's length; past it the message says "more than". */
const countedLengths = 4;

type Rules = {
  /** Whether texts get the special tokens that the tokenizer puts around one: a rendered template has its own. */
  wrapped: boolean;
  signal: AbortSignal;
};

/** In order. @throws CodedError for what the model cannot read; the signal's reason */
export async function* readPrompts(
  inputs: readonly NamedPrompt[],
  model: TextModel,
  { wrapped, signal }: Rules,
): AsyncGenerator<Prompt> {
  const { tokenizer, limits } = model;
  const charactersOf = ({ input }: NamedPrompt) => (typeof input === "string" ? input.length : 0);
  for (const group of groupTexts(inputs, charactersOf)) {
    const texts = group.flatMap(({ input }) => (typeof input === "string" ? [input] : []));
    const tokensMax = limits.maxTokens * countedLengths;
    const encodings = (await tokenizer.encode(texts, { tokensMax, signal })).values();
    for (const { name, input } of group) {
      if (typeof input !== "string") {
        checkTokenIds(input, name, model);
        yield checked({ name, ids: input, text: null }, { model, complete: true });
        continue;
      }
      const { ids = [], complete = true } = encodings.next().value ?? {};
      const whole = wrapped ? tokenizer.wrap(ids).ids : ids;
      yield checked({ name, ids: whole, text: input }, { model, complete });
    }
  }
}

/** With room for one token more. */
function checked(
  prompt: Prompt,
  { model, complete }: { model: TextModel; complete: boolean },
): Prompt {
  const { name, ids } = prompt;
  const { id, limits } = model;
  if (ids.length === 0) {
    const message = `${name} holds nothing that ${id} reads: it has no token`;
    throw new CodedError("invalid_value", message, { param: name });
  }
  if (complete && ids.length < limits.maxTokens) return prompt;
  throw new CodedError(
    "context_length_exceeded",
    `${name} has ${complete ? "" : "more than "}${ids.length} tokens, but ${id} takes at most ${limits.maxTokens}, ` +
      "prompt and answer together. Shorten it.",
    { param: name },
  );
}
