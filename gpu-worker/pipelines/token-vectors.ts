/**
 * The vectors of a text's tokens, special tokens included, as transformers' FeatureExtractionPipeline gives them: of
 * every model whose graph gives hidden states, whether or not it pools them.
 */
import { CodedError } from "#contract/errors.ts";
import { tokenNumbersMax } from "#contract/tasks/feature-extraction.ts";
import type { InputEncoder } from "./encode-input.ts";
import type { EncoderModel } from "../model/encoder-model.ts";
import type { TaskContext, TaskAnswer, TaskRequest } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { TokenCounter, namedInputs, rowsOf } from "./sentence-request.ts";
import { toBase64 } from "../tensor/vectors.ts";

type Request = Omit<TaskRequest<"feature-extraction">, "task">;
type VectorTools = {
  encoder: InputEncoder;
  context: Pick<TaskContext, "run" | "signal" | "reserveOutputs">;
};

const outputs = ["last_hidden_state"] as const;

/** @throws CodedError for a model that gives no token vectors, or a request for too many; the signal's reason */
export async function tokenVectors(
  { inputs, parameters }: Request,
  model: EncoderModel,
  { encoder, context }: VectorTools,
): Promise<TaskAnswer<"feature-extraction">> {
  const { id, session, limits } = model;
  if (!session.outputs.some(({ name }) => name === "last_hidden_state")) {
    throw new CodedError("invalid_value", `${id} gives no vectors of tokens`, { param: "model" });
  }
  if (parameters.normalize !== undefined) {
    throw new CodedError(
      "invalid_value",
      'normalize scales the vector of a text, and pooling "none" makes none. Leave one of them out.',
      { param: "normalize" },
    );
  }
  const counter = new TokenCounter();
  const rows = await rowsOf(namedInputs(inputs), encoder, { counter, outputs });
  if (limits.dimensions !== null) checkSize(counter.tokens, limits.dimensions);
  return {
    outputs: await readRows(rows, model, context, {
      floatsOf: ({ ids }) => ids.length * (limits.dimensions ?? usualDimensions),
      read({ last_hidden_state: states = new Float32Array() }, at) {
        const dimensions = states.length / (rows[at]?.ids.length ?? 1);
        checkSize(counter.tokens, dimensions);
        return { vectors: toBase64(states), dimensions };
      },
    }),
    usage: counter.usage(),
    warnings: counter.warnings(limits.maxTokens),
  };
}

/** Assumed before the first row is read, of a model that pools nothing and so declares none. */
const usualDimensions = 1_024;

function checkSize(tokens: number, dimensions: number): void {
  if (tokens * dimensions <= tokenNumbersMax) return;
  throw new CodedError(
    "invalid_value",
    `In all there are ${tokens} tokens in inputs, whose vectors of ${dimensions} numbers are ${tokens * dimensions} ` +
      `in all; with pooling "none" a request may ask for ${tokenNumbersMax}. Send fewer or shorter texts.`,
    { param: "inputs" },
  );
}
