/**
 * Inputs that are token ids: what the caller says of whose they are, and those of the model held to it, its vocabulary
 * and its length. Which ids are the model's where that is not said, the worker tells: it knows the model's special
 * tokens.
 */
import { CodedError } from "#contract/errors.ts";
import { TokenIdVocabulary } from "#contract/tasks/feature-extraction.ts";
import { validate } from "../http/validation.ts";
import type { ModelListing } from "../registry/merge-models.ts";

/** Of a request to OpenAI's route, whose body has no field for it. */
export const tokenIdsHeader = "x-token-ids";

/** @throws CodedError where the header says something else than a vocabulary */
export function vocabularyOf(header: string | undefined): TokenIdVocabulary {
  return validate(TokenIdVocabulary.optional(), header, [tokenIdsHeader]) ?? "either";
}

/** Whether a task's token ids are the model's own, so that they can be held to it before they are queued. */
export function areModelsOwn(parameters: object): boolean {
  return !("token_ids" in parameters) || parameters.token_ids === "model";
}

export type TokenRules = {
  model: ModelListing;
  /** How the caller knows each input: `inputs[3]`. */
  nameOf: (index: number) => string;
  /** Refuse more ids than the model reads at once. */
  lengthMatters: boolean;
  /** The task has a parameter by which what is too long is cut. */
  cuttable: boolean;
};

/** @param inputs those that are no lists of numbers are passed by @throws CodedError */
export function checkTokenIds(inputs: readonly unknown[], rules: TokenRules): void {
  for (const [index, input] of inputs.entries()) {
    if (isTokenIds(input)) checkOne(input, rules.nameOf(index), rules);
  }
}

function isTokenIds(input: unknown): input is readonly number[] {
  return Array.isArray(input) && input.every((id) => typeof id === "number");
}

function checkOne(
  ids: readonly number[],
  field: string,
  { model, lengthMatters, cuttable }: TokenRules,
): void {
  if (model.limits === null) return;
  const { vocabularySize, maxTokens } = model.limits;
  const at = ids.findIndex((id) => id >= vocabularySize);
  if (at >= 0) {
    throw new CodedError(
      "invalid_value",
      `${field}[${at}] is ${ids[at]}, outside the vocabulary of ${model.id} (0 to ${vocabularySize - 1}). ` +
        "Token ids must be the model's own here. Send text instead.",
      { param: field },
    );
  }
  if (!lengthMatters || ids.length <= maxTokens) return;
  throw new CodedError(
    "context_length_exceeded",
    `${field} has ${ids.length} tokens; ${model.id} reads at most ${maxTokens}. ` +
      `Send it in parts${cuttable ? ", or set truncate to true to have it cut" : ""}.`,
    { param: field },
  );
}
