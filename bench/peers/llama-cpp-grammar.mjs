/**
 * Peer of bench/structure.ts: llama.cpp through node-llama-cpp, in a process of its own, with its own grammar of the same
 * JSON schema. All streams share one context, whose batches hold a token of each.
 * Usage: llama-cpp-grammar.mjs < request.json, `{file, threads, streams, prompt, schema, tokens}`
 * Prints one JSON object: `free` and `held`, in tokens per second of all streams, the best of three rounds each.
 */
import { json } from "node:stream/consumers";
import { getLlama, LlamaCompletion, LlamaLogLevel } from "node-llama-cpp";

const rounds = 3;

const { file, threads, streams, prompt, schema, tokens } = await json(process.stdin);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const grammar = await llama.createGrammarForJsonSchema(schema);
const context = await model.createContext({
  sequences: streams,
  contextSize: 2_048,
  batchSize: 512,
  threads,
});
const completions = Array.from(
  { length: streams },
  () => new LlamaCompletion({ contextSequence: context.getSequence() }),
);

async function rate(options) {
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    let made = 0;
    const start = performance.now();
    const write = (completion, at) =>
      completion.generateCompletion(`${prompt} ${at}.\n`, {
        maxTokens: tokens,
        temperature: 1,
        seed: 100 * round + at,
        onToken: (written) => (made += written.length),
        ...options,
      });
    await Promise.all(completions.map(write));
    best = Math.max(best, (made * 1_000) / (performance.now() - start));
  }
  return best;
}

const free = await rate({});
const held = await rate({ grammar });
console.log(JSON.stringify({ free, held }));
process.exit(0);
