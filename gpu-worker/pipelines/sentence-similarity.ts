/**
 * Cosine of one sentence to each of several others, whatever the model's own similarity function, as Hugging Face's API gives
 * it; all of a request's sentences run in the same batches.
 */
import { InputEncoder, type NamedInput } from "./encode-input.ts";
import type { EncoderPipeline } from "./pipeline.ts";
import { taskPrompt } from "./prompts.ts";
import { RequestTally, namedInputs, rowsOf, sentenceOf } from "./sentence-request.ts";
import { cosine } from "./vectors.ts";

export const sentenceSimilarity: EncoderPipeline<"sentence-similarity"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, { run, signal }) {
    sentenceOf(model);
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: "right",
      prompt: taskPrompt(model, "similarity"),
    } as const;
    const encoder = new InputEncoder(model, rules, signal);
    const tally = new RequestTally();
    const outputs = ["sentence_embedding"] as const;
    const results = await run(model, await rowsOf(textsOf(inputs), encoder, { tally, outputs }));
    const vectors = results.map((result) => result.sentence_embedding ?? new Float32Array());
    return {
      outputs: similarities(inputs, vectors),
      usage: tally.usage(),
      warnings: tally.warnings(model.limits.maxTokens),
    };
  },
};

type Input = { source_sentence: string; sentences: string[] };

/** An input's source before its sentences. */
function textsOf(inputs: readonly Input[]): NamedInput[] {
  return inputs.flatMap(({ source_sentence: source, sentences }, at) => [
    { input: source, name: `inputs[${at}].source_sentence` },
    ...namedInputs(sentences, `inputs[${at}].sentences`),
  ]);
}

function similarities(inputs: readonly Input[], vectors: readonly Float32Array[]): number[][] {
  let next = 0;
  return inputs.map((input) => {
    const [source, ...sentences] = vectors.slice(next, next + 1 + input.sentences.length);
    next += 1 + input.sentences.length;
    if (source === undefined) return [];
    return sentences.map((sentence) => cosine(source, sentence));
  });
}
