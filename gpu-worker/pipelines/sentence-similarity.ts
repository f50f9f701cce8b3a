/**
 * Cosine of one sentence to each of several others, whatever the model's own similarity function, as Hugging Face's API
 * gives it; all sentences of a request run in the same batches.
 */
import { cosine } from "../tensor/vectors.ts";
import { InputEncoder, type NamedInput } from "./encode-input.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { taskPrompt } from "./prompts.ts";
import { readRows } from "./read-rows.ts";
import { ResultSize } from "./result-size.ts";
import { TokenCounter, rowsOf, sentenceOf } from "./sentence-request.ts";

/** Bytes of a number such as 0.1234567890123. */
const cosineBytes = 20;

export const sentenceSimilarity: EncoderPipeline<"sentence-similarity"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, context) {
    sentenceOf(model);
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: "right",
      prompt: taskPrompt(model, "similarity"),
    } as const;
    const encoder = new InputEncoder(model, rules, context.signal);
    const counter = new TokenCounter();
    const outputs = ["sentence_embedding"] as const;
    const texts = inputs.reduce((sum, { sentences }) => sum + 1 + sentences.length, 0);
    counter.expect(texts, encoder.tokensMin);
    const rows = await rowsOf(textsOf(inputs), encoder, { counter, outputs });
    const size = new ResultSize(context, { param: "inputs", fix: "Send fewer sentences." });
    await size.expect(texts * cosineBytes);
    const starts = sourceRows(inputs);
    let source: Float32Array = new Float32Array();
    const cosines = await readRows(rows, model, context, {
      floatsOf: () => model.limits.dimensions ?? 0,
      read({ sentence_embedding: vector = new Float32Array() }, row) {
        if (starts.has(row)) source = vector;
        return cosine(source, vector);
      },
    });
    return {
      outputs: split(inputs, cosines),
      usage: counter.usage(),
      warnings: counter.warnings(model.limits.maxTokens),
    };
  },
};

type Input = { source_sentence: string; sentences: string[] };

/** An input's source before its sentences. */
function* textsOf(inputs: readonly Input[]): Generator<NamedInput> {
  for (const [at, { source_sentence: source, sentences }] of inputs.entries()) {
    yield { input: source, name: `inputs[${at}].source_sentence` };
    for (const [index, input] of sentences.entries()) {
      yield { input, name: `inputs[${at}].sentences[${index}]` };
    }
  }
}

/** Where each input's row is its source. */
function sourceRows(inputs: readonly Input[]): Set<number> {
  let row = 0;
  return new Set(
    inputs.map(({ sentences }) => {
      const own = row;
      row += 1 + sentences.length;
      return own;
    }),
  );
}

/** Of all rows, without those of the sources. */
function split(inputs: readonly Input[], cosines: readonly number[]): number[][] {
  let next = 0;
  return inputs.map(({ sentences }) => cosines.slice(next + 1, (next += 1 + sentences.length)));
}
