/**
 * Peer of bench/decode.ts: llama.cpp through node-llama-cpp, in a process of its own. Its context makes the tokens of all
 * streams one batch; the likeliest follow, as its own sampler chooses them.
 * Usage: llama-cpp.mjs < request.json, `{file, threads, streamCounts, contexts, promptTokens, steps}`
 * Prints one JSON object: `decode`, a list of `{streams, context, rate}`, and `prefill`, in tokens per second, the best
 * of three rounds each.
 */
import { json } from "node:stream/consumers";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const rounds = 3;
/** Any words will do, but those that a file keeps for itself. */
const [firstWord, words] = [1_000, 20_000];

const { file, threads, streamCounts, contexts, promptTokens, steps } = await json(process.stdin);
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });

function promptOf(length, seed) {
  return Array.from({ length }, (_, at) => firstWord + ((at * 7_919 + seed * 104_729) % words));
}

/** @returns the likeliest token behind `tokens` */
async function next(sequence, tokens) {
  const last = tokens.length - 1;
  const input = tokens.map((token, at) =>
    at === last ? [token, { generateNext: { token: true, options: { temperature: 0 } } }] : token,
  );
  const output = await sequence.controlledEvaluate(input);
  return output[last]?.next.token ?? firstWord;
}

function rate(tokens, start) {
  return (tokens * 1_000) / (performance.now() - start);
}

async function measureDecode(streams, length) {
  const context = await model.createContext({
    sequences: streams,
    contextSize: length + rounds * steps + 8,
    batchSize: promptTokens,
    threads,
  });
  const sequences = Array.from({ length: streams }, () => context.getSequence());
  let tokens = await Promise.all(sequences.map((each, at) => next(each, promptOf(length, at))));
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    for (let step = 0; step < steps; step++) {
      tokens = await Promise.all(sequences.map((each, at) => next(each, [tokens[at]])));
    }
    best = Math.max(best, rate(streams * steps, start));
  }
  await context.dispose();
  return best;
}

async function measurePrefill() {
  const size = { contextSize: promptTokens + 8, batchSize: promptTokens };
  const context = await model.createContext({ ...size, threads });
  const sequence = context.getSequence();
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    await sequence.clearHistory();
    const start = performance.now();
    await next(sequence, promptOf(promptTokens, round));
    best = Math.max(best, rate(promptTokens, start));
  }
  await context.dispose();
  return best;
}

const decode = [];
for (const context of contexts) {
  for (const streams of streamCounts) {
    decode.push({ streams, context, rate: await measureDecode(streams, context) });
  }
}
console.log(JSON.stringify({ decode, prefill: await measurePrefill() }));
process.exit(0);
