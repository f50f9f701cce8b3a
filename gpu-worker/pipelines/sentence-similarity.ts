/** Cosine of one sentence to each of several others; all of a request's sentences run in the same batches. */
import { InputEncoder } from "./encode-input.ts";
import type { EncoderPipeline, EncoderRow } from "./pipeline.ts";
import { RequestTally, sentenceOf } from "./sentence-request.ts";

export const sentenceSimilarity: EncoderPipeline<"sentence-similarity"> = {
  kind: "encoder",
  async answer({ inputs, parameters }, model, { run, signal }) {
    sentenceOf(model);
    const rules = {
      truncate: parameters.truncate ?? false,
      truncationDirection: "right",
      prompt: "",
    } as const;
    const encoder = new InputEncoder(model, rules, signal);
    const tally = new RequestTally();
    const rows: EncoderRow[] = [];
    for (const [text, name] of textsOf(inputs)) {
      const encoded = await encoder.encode(text, name);
      tally.add(encoded);
      rows.push({ ids: encoded.ids, outputs: ["sentence_embedding"] });
    }
    const results = await run(model, rows);
    const vectors = results.map((result) => result.sentence_embedding ?? new Float32Array());
    return {
      outputs: similarities(inputs, vectors),
      usage: tally.usage(),
      warnings: tally.warnings(model.limits.maxTokens),
    };
  },
};

type Input = { source_sentence: string; sentences: string[] };

/** Each text with its name, an input's source before its sentences. */
function textsOf(inputs: readonly Input[]): [string, string][] {
  return inputs.flatMap((input, at) => [
    [input.source_sentence, `inputs[${at}].source_sentence`],
    ...input.sentences.map((text, index): [string, string] => [
      text,
      `inputs[${at}].sentences[${index}]`,
    ]),
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

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (const [index, x] of a.entries()) {
    const y = b[index] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  const scale = Math.sqrt(aa * bb);
  // Rounding may carry the cosine of a vector with itself past 1.
  return scale === 0 ? 0 : Math.max(-1, Math.min(1, dot / scale));
}
