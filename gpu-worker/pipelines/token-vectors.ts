/**
 * The vectors of a text's tokens, special tokens included, as transformers' FeatureExtractionPipeline gives them: of every model
 * whose graph gives hidden states, whether or not it pools them.
 */
import { CodedError } from "#contract/errors.ts";
import { tokenNumbersMax } from "#contract/tasks/feature-extraction.ts";
import type { InputEncoder } from "./encode-input.ts";
import type { EncoderModel } from "./encoder-model.ts";
import type { Engine, TaskAnswer, TaskRequest } from "./pipeline.ts";
import { readRows } from "./read-rows.ts";
import { RequestTally, namedInputs, rowsOf } from "./sentence-request.ts";
import { toBase64 } from "./to-base64.ts";

type Request = Omit<TaskRequest<"feature-extraction">, "task">;
type Tools = { encoder: InputEncoder; engine: Pick<Engine, "run" | "signal" | "hold"> };

const outputs = ["last_hidden_state"] as const;

/** @throws CodedError for a model or a request that it cannot be done for; the signal's reason */
export async function tokenVectors(
  { inputs, parameters }: Request,
  model: EncoderModel,
  { encoder, engine }: Tools,
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
  const tally = new RequestTally();
  const rows = await rowsOf(namedInputs(inputs), encoder, { tally, outputs });
  if (limits.dimensions !== null) checkSize(tally.tokens, limits.dimensions);
  return {
    outputs: await readRows(rows, model, engine, {
      floatsOf: ({ ids }) => ids.length * (limits.dimensions ?? usualDimensions),
      read({ last_hidden_state: states = new Float32Array() }, at) {
        const dimensions = states.length / (rows[at]?.ids.length ?? 1);
        checkSize(tally.tokens, dimensions);
        return { vectors: toBase64(states), dimensions };
      },
    }),
    usage: tally.usage(),
    warnings: tally.warnings(limits.maxTokens),
  };
}

/** Of a model that pools nothing, and so has not told its own, before the first row is read. */
const usualDimensions = 1_024;

function checkSize(tokens: number, dimensions: number): void {
  if (tokens * dimensions <= tokenNumbersMax) return;
  throw new CodedError(
    "invalid_value",
    `In all there are ${tokens} tokens in inputs, whose vectors of ${dimensions} numbers are ${tokens * dimensions} in all; with pooling "none" ` +
      `a request may ask for ${tokenNumbersMax}. Send fewer or shorter texts.`,
    { param: "inputs" },
  );
}
