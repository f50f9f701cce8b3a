/** How many texts a request has written: each takes memory of a worker for as long as it grows. */
import type { PublicError } from "#contract/errors.ts";
import { generationLimits } from "#contract/tasks/generation.ts";

const max = generationLimits.choicesPerRequestMax;

/** @returns what is wrong where they are more than one request may have, in a worker's words; else null */
export function tooManyChoices(inputs: number, parameters: object): PublicError | null {
  const n = "n" in parameters && typeof parameters.n === "number" ? parameters.n : 1;
  if (inputs * n <= max) return null;
  const [param, told] =
    n === 1
      ? ["inputs", `inputs has ${inputs} items`]
      : ["n", `n is ${n} for ${inputs} inputs, which makes ${inputs * n} choices`];
  const message = `${told}; the limit of one request is ${max} choices. Send it in several requests.`;
  return { code: "invalid_value", message, param };
}
