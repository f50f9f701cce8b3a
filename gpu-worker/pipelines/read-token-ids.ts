/**
 * Token ids that a request says are, or may be, of another vocabulary than the model's: each list becomes the text it
 * stands for, which the model's tokenizer then reads like any other. Nothing else decides of which vocabulary ids are.
 */
import { CodedError } from "#contract/errors.ts";
import { limits } from "#contract/limits.ts";
import type { TaskInput } from "#contract/tasks.ts";
import type { TokenIdVocabulary } from "#contract/tasks/feature-extraction.ts";
import { TimeSlices } from "../event-loop/time-slices.ts";
import { type Cl100k, loadCl100k } from "../tokenizer/cl100k.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import { tooManyTokens } from "./sentence-request.ts";

type Input = TaskInput<"feature-extraction">;

export type ReadInputs = {
  /** Texts, and ids of the model's own. */
  inputs: Input[];
  /** As which vocabulary the ids of how many inputs were read, where the request said anything about it. */
  warnings: string[];
};

/** @param vocabulary absent: the ids are the model's @throws CodedError; the signal's reason */
export async function readTokenIds(
  inputs: Input[],
  { id, tokenizer }: Pick<EncoderModel, "id" | "tokenizer">,
  { vocabulary, signal }: { vocabulary: TokenIdVocabulary | undefined; signal: AbortSignal },
): Promise<ReadInputs> {
  if (vocabulary === undefined) return { inputs, warnings: [] };
  const isForeign = (input: Input): input is number[] =>
    typeof input !== "string" &&
    (vocabulary === "cl100k_base" || (vocabulary === "either" && !tokenizer.isWrapped(input)));
  const foreign = inputs.filter(isForeign);
  const own = inputs.filter((input) => typeof input !== "string" && !isForeign(input)).length;
  return {
    inputs: foreign.length === 0 ? inputs : await decodeEach(inputs, isForeign, signal),
    warnings: [
      ...(own > 0 ? [`token ids of ${countOf(own)} were read as ${id}'s own`] : []),
      ...(foreign.length > 0
        ? [
            `token ids of ${countOf(foreign.length)} were read as cl100k_base's: ` +
              `decoded, and tokenised again for ${id}`,
          ]
        : []),
    ],
  };
}

function countOf(inputs: number): string {
  return inputs === 1 ? "1 input" : `${inputs} inputs`;
}

async function decodeEach(
  inputs: readonly Input[],
  isForeign: (input: Input) => input is number[],
  signal: AbortSignal,
): Promise<Input[]> {
  const count = inputs.filter(isForeign).reduce((sum, ids) => sum + ids.length, 0);
  if (count > limits.tokensPerRequestMax) throw tooManyTokens();
  const vocabulary = await loadCl100k();
  const slices = new TimeSlices(signal);
  const read: Input[] = [];
  for (const [index, input] of inputs.entries()) {
    const name = `inputs[${index}]`;
    read.push(isForeign(input) ? await decodeOne(input, name, { vocabulary, slices }) : input);
  }
  return read;
}

async function decodeOne(
  ids: readonly number[],
  name: string,
  { vocabulary, slices }: { vocabulary: Cl100k; slices: TimeSlices },
): Promise<string> {
  const at = ids.findIndex((id) => !vocabulary.has(id));
  if (at >= 0) {
    throw new CodedError(
      "invalid_value",
      `${name}[${at}] is ${ids[at]}, which is no id of cl100k_base (0 to ${vocabulary.size - 1}), ` +
        "in which token ids are read that are not said to be the model's own: " +
        'by the header "x-token-ids: model", or token_ids: "model" of feature-extraction.',
      { param: `${name}[${at}]` },
    );
  }
  const charactersMax = limits.stringCharactersMax;
  const text = await vocabulary.decode(ids, { charactersMax, slices });
  if (text.length <= charactersMax) return text;
  throw new CodedError(
    "invalid_value",
    `${name} stands for more than ${charactersMax} characters, the limit of one text. Send it in parts.`,
    { param: name },
  );
}
