/** The bodies of errors: OpenAI's, Cohere's and Hugging Face's. Which surface has which is a row of surfaces.ts. */
import { errorTable, type PublicError } from "#contract/errors.ts";

export type ErrorForm = {
  name: "openai" | "cohere" | "hugging-face";
  /** @returns the JSON value of the body */
  body: (error: PublicError) => object;
};

/** As an error stands in an answer of OpenAI's, and in a job on any surface. */
export function errorDetail(error: PublicError) {
  const { type } = errorTable[error.code];
  return { message: error.message, type, param: error.param, code: error.code };
}

export const openaiError: ErrorForm = {
  name: "openai",
  body: (error) => ({ error: errorDetail(error) }),
};

/** OpenAI's too, since a caller's own code may read it; @ai-sdk/cohere shows no other text than this `message`. */
export const cohereError: ErrorForm = {
  name: "cohere",
  body: (error) => ({ message: error.message, error: errorDetail(error) }),
};

export const huggingFaceError: ErrorForm = {
  name: "hugging-face",
  body: (error) => {
    const detail = errorDetail(error);
    return { error: detail.message, error_type: detail.type, error_detail: detail };
  },
};
