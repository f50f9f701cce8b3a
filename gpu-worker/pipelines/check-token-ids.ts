/** Ids that a request gives as the model's own. */
import { CodedError } from "#contract/errors.ts";
import type { TextModel } from "../model/served-model.ts";

/** @param name of the list in the request: `inputs[3]` @throws CodedError for one that the model has not */
export function checkTokenIds(
  ids: readonly number[],
  name: string,
  { limits, id }: Pick<TextModel, "limits" | "id">,
): void {
  const at = ids.findIndex((token) => token >= limits.vocabularySize);
  if (at === -1) return;
  throw new CodedError(
    "invalid_value",
    `${name}[${at}] is the token id ${ids[at]}, but the ids of ${id} end at ${limits.vocabularySize - 1}. ` +
      "Token ids must be of the model's own vocabulary.",
    { param: `${name}[${at}]` },
  );
}
